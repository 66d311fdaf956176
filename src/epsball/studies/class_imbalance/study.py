"""Study `class-imbalance`: is a rare class easier to attack?

Source: Possas, "Effectiveness of adversarial examples on class-imbalanced convolutional neural
networks", thesis. What it leaves open, and what goes beyond it, is in `notes.md`.
"""

from epsball.studies.class_imbalance.page import summarise
from epsball.studies.class_imbalance.plan import KNOWN, NAME, cost, plan
from epsball.studies.class_imbalance.works import WORKS
from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec

CLASS_IMBALANCE = StudySpec(
    name=NAME,
    what="is a rare class easier to attack, and what helps?",
    source="Possas, thesis",
    options=Options(data="cifar10", seeds=1, searched=0),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    cost=cost,
    by_class=True,
)
