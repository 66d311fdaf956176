"""Study `label-efficient`: adversarial distance as a guide to which images to label.

Source: the application that Limaye, Tirupari and Rangan name; DeepFool as a measure of doubt:
Ducoffe and Precioso 2018, arXiv:1802.09841. Departure: no adversarial image is labelled beside.
"""

from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.label_efficient.page import summarise
from epsball.studies.label_efficient.plan import KNOWN, NAME, cost, plan
from epsball.studies.label_efficient.works import WORKS

LABEL_EFFICIENT = StudySpec(
    name=NAME,
    what="which images are worth their labels: by chance, entropy, margin or adversarial distance?",
    source="application named by Limaye, Tirupari and Rangan; arXiv:1802.09841",
    options=Options(seeds=3, train_limit=20_000),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    cost=cost,
)
