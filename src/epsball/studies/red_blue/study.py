"""Study `red-blue`: do L1 and L2 penalties protect a small network against FGSM?

The red team attacks by one step along the sign of the gradient, the blue team defends by penalties
on the weights. Evaluated as in the source, and by stronger attacks.

Source: Limaye, Tirupari and Rangan, "Red team, blue team". It states neither the hidden width, the
dropout rate, the learning rate, the number of epochs, nor whether attacked images are clipped.
Ours: 625 units and RMSProp at 1e-3, from the tutorial it cites; dropout 0.5, the usual rate; 4
epochs, after which the network without penalties has the source's clean accuracy (97.5 %);
clipped, with the unclipped reading measured beside it. All are parameters of the grid.
"""

from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.red_blue.page import summarise
from epsball.studies.red_blue.plan import KNOWN, NAME, cost, plan
from epsball.studies.red_blue.works import WORKS

RED_BLUE = StudySpec(
    name=NAME,
    what="do L1 and L2 penalties on the weights protect a small network against FGSM?",
    source="Limaye, Tirupari and Rangan, Red team, blue team",
    options=Options(),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
    cost=cost,
)
