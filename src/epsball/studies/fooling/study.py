"""Study `fooling`: are images that mean nothing to people named with confidence?

Source: Nguyen, Yosinski and Clune 2015, arXiv:1412.1897, as reported by Possas, thesis, section
4.5.
"""

from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.fooling.page import summarise
from epsball.studies.fooling.plan import KNOWN, NAME, cost, plan
from epsball.studies.fooling.works import WORKS

FOOLING = StudySpec(
    name=NAME,
    what="are images that mean nothing to people named with confidence?",
    source="Nguyen et al. 2015, arXiv:1412.1897, as reported by Possas, thesis, section 4.5",
    options=Options(data="mnist", seeds=3),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    trains=False,
    cost=cost,
)
