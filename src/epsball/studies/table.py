"""The visible table of studies: what `epsball study` takes."""

from epsball.studies.adversarial_training.study import ADVERSARIAL_TRAINING
from epsball.studies.class_imbalance.study import CLASS_IMBALANCE
from epsball.studies.confidence_bands.study import CONFIDENCE_BANDS
from epsball.studies.core.spec import StudySpec
from epsball.studies.fooling.study import FOOLING
from epsball.studies.label_efficient.study import LABEL_EFFICIENT
from epsball.studies.neural_rejection.study import NEURAL_REJECTION
from epsball.studies.physical.study import PHYSICAL
from epsball.studies.red_blue.study import RED_BLUE
from epsball.studies.substitute.study import SUBSTITUTE
from epsball.studies.transfer.study import TRANSFER

_ALL = (
    RED_BLUE,
    ADVERSARIAL_TRAINING,
    NEURAL_REJECTION,
    CONFIDENCE_BANDS,
    CLASS_IMBALANCE,
    PHYSICAL,
    FOOLING,
    TRANSFER,
    SUBSTITUTE,
    LABEL_EFFICIENT,
)
STUDIES: dict[str, StudySpec] = {spec.name: spec for spec in _ALL}
