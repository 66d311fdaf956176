"""Study `physical`: which adversarial images survive print and photograph?

Source: Kurakin, Goodfellow and Bengio 2017, arXiv:1607.02533, section 3, as reported by Possas,
thesis, section 4.6.
"""

from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.physical.page import summarise
from epsball.studies.physical.plan import KNOWN, NAME, cost, plan
from epsball.studies.physical.works import WORKS

PHYSICAL = StudySpec(
    name=NAME,
    what="which adversarial images survive print and photograph?",
    source="Kurakin et al. 2017, arXiv:1607.02533, as reported by Possas, thesis, section 4.6",
    options=Options(data="imagenet-sample", seeds=1, limit=100, searched=40),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    cost=cost,
    trains=False,
)
