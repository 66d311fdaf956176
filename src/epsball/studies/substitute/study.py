"""Study `substitute`: labels alone, and what they give away.

Source: Possas, thesis, section 4.4, after Papernot et al. 2017, arXiv:1602.02697, and Papernot,
McDaniel and Goodfellow 2016, arXiv:1605.07277.
"""

from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.substitute.page import summarise
from epsball.studies.substitute.plan import KNOWN, NAME, cost, plan
from epsball.studies.substitute.works import WORKS

SUBSTITUTE = StudySpec(
    name=NAME,
    what="how many labels does it take to fool a model that one can only ask?",
    source="Possas, thesis, section 4.4, after Papernot et al. 2017, arXiv:1602.02697",
    options=Options(seeds=1, limit=1000),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    cost=cost,
)
