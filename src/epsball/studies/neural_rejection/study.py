"""Study `neural-rejection`: does a reject class on inner layers withstand an informed attacker?

A network, Neural Rejection around it (an RBF-SVM on its last hidden layer), Deep Neural Rejection
(SVMs on three layers and one on their outputs), a threshold on the softmax, and networks that were
trained on adversarial examples, all under the source's attack in L2, and then under ours.

Source: Thanthulage, after Sotgiu et al. 2020 and Melis et al. 2017. It does not state the attack's
step, the number of steps, most eps, whether pixels are clipped, the hinge of the bare network, nor
how many images were added for retraining. `notes.md` gives our values; all are parameters of the
grid.
"""

from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.neural_rejection.design import KNOWN, NAME
from epsball.studies.neural_rejection.page import summarise
from epsball.studies.neural_rejection.plan import cost, plan
from epsball.studies.neural_rejection.works import WORKS

NEURAL_REJECTION = StudySpec(
    name=NAME,
    what="does a reject class on inner layers withstand an attacker who knows it?",
    source="Thanthulage, after Sotgiu et al. 2020 and Melis et al. 2017",
    options=Options(seeds=5, limit=1000, train_limit=30_000, searched=200),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    cost=cost,
)
