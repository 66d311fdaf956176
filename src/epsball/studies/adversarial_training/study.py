"""Study `adversarial-training`: what does training on adversarial examples do, and at what cost?

Every row of the table is one way of training the same network. Rows differ in the recipe only: they
share the first weights, the order of images and the optimiser.

Source: Venkataraman's slides, after Goodfellow, Kurakin, Madry and Tramer. They report no numbers
of their own (except two of Goodfellow's) and state no network, data or eps. Ours: MNIST at eps 0.3
with `base-cnn`, CIFAR-10 at 8/255 with `vgg-cifar`, digits at 0.1; Adam and one cycle of the
learning rate, no dropout except in the row about it, the weights of the last epoch.
"""

from epsball.studies.adversarial_training.page import summarise
from epsball.studies.adversarial_training.plan import KNOWN, NAME, cost, plan
from epsball.studies.adversarial_training.works import WORKS
from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec

ADVERSARIAL_TRAINING = StudySpec(
    name=NAME,
    what="what does training on adversarial examples do, against which attack, at what cost?",
    source="Venkataraman, after Goodfellow, Kurakin, Madry and Tramer",
    options=Options(),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    cost=cost,
)
