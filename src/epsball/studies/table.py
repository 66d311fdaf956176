"""The visible table of studies: what `epsball study` takes."""

from epsball.studies.adversarial_training import ADVERSARIAL_TRAINING
from epsball.studies.neural_rejection import NEURAL_REJECTION
from epsball.studies.red_blue import RED_BLUE
from epsball.studies.spec import StudySpec

_ALL = (RED_BLUE, ADVERSARIAL_TRAINING, NEURAL_REJECTION)
STUDIES: dict[str, StudySpec] = {spec.name: spec for spec in _ALL}
