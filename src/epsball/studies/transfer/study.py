"""Study `transfer`: does the same image fool models of another technique?

Source: Possas, thesis, sections 4.2 and 4.3, after Papernot, McDaniel and Goodfellow 2016,
arXiv:1605.07277. On MNIST the techniques of the source; on images of CIFAR-10's size networks of
the same and of another architecture, and one trained on adversarial images.
"""

from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.transfer.page import summarise
from epsball.studies.transfer.plan import KNOWN, NAME, cost, plan
from epsball.studies.transfer.works import WORKS

TRANSFER = StudySpec(
    name=NAME,
    what="do adversarial images made on one model fool models of other data and other techniques?",
    source="Possas, thesis, sections 4.2 and 4.3, after Papernot et al. 2016, arXiv:1605.07277",
    options=Options(seeds=1),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    cost=cost,
)
