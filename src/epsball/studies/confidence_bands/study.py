"""Study `confidence-bands`: are images that a model is less sure of easier to attack?

Source: Possas, slides on adversarial attacks and confidence. What it leaves open: `notes.md`.
"""

from epsball.studies.confidence_bands.page import summarise
from epsball.studies.confidence_bands.plan import NAME, cost, plan
from epsball.studies.confidence_bands.reading import KNOWN
from epsball.studies.confidence_bands.works import WORKS
from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec

CONFIDENCE_BANDS = StudySpec(
    name=NAME,
    what="are images that a model is less sure of easier to attack?",
    source="Possas, slides on adversarial attacks and confidence",
    options=Options(data="imagenet-sample", seeds=1, searched=200),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    cost=cost,
    trains=False,
)
