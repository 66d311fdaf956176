"""Study `neural-rejection`: does a reject class on inner layers withstand one who knows it?

A network, Neural Rejection around it (an RBF-SVM on its last hidden layer), Deep Neural Rejection
(SVMs on three layers and one on what they say), a threshold on the softmax, and networks that were
trained on adversarial examples, all under the source's attack in L2, and then under ours.

Source: Thanthulage, after Sotgiu et al. 2020 and Melis et al. 2017. It does not state the attack's
step, how many it takes, most eps, whether pixels are clipped, the hinge of the bare network, nor
how many images were added for retraining. Ours: `neural_rejection_story` says them; all are
parameters of the grid.
"""

from collections.abc import Sequence

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Cell
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.studies.neural_rejection.plan import KNOWN, NAME, Planner
from epsball.studies.neural_rejection.story import summarise
from epsball.studies.neural_rejection.works import WORKS

_SHAPE = (1, 28, 28)


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan what the source did, what stands beside it, and our attacks, the dear ones last."""
    if data.shape != _SHAPE:
        raise InvalidInput(
            f"study {NAME} needs images of {_SHAPE}, got {data.shape} from {data.name};"
            " take mnist or digits"
        )
    planner = Planner(options, data)
    cells = [*planner.bases(), *planner.source(), *planner.beside(), *planner.dear()]
    return list({cell.hash: cell for cell in cells}.values())


def run(cell: Cell, workspace: Workspace) -> Sequence[Row]:
    """Do one cell."""
    return WORKS[cell.kind](cell, workspace)


NEURAL_REJECTION = StudySpec(
    name=NAME,
    what="does a reject class on inner layers withstand an attacker who knows it?",
    source="Thanthulage, after Sotgiu et al. 2020 and Melis et al. 2017",
    options=Options(seeds=5, limit=1000, train_limit=30_000, searched=200),
    known=KNOWN,
    plan=plan,
    works=WORKS,
    summarise=summarise,
)
