"""The class that each image of a targeted attack is to reach, and when an attack has succeeded."""

from torch import Tensor

from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.settings import AttackSetting
from epsball.evaluation.targets import targets_of
from epsball.objectives import is_adversarial


def aims(engine: Engine, setting: AttackSetting, examples: Examples) -> Tensor | None:
    """Return the class that each image is to reach, (n,); None for an untargeted attack."""
    least = None if examples.clean is None else examples.clean.least_likely
    if setting.target == "least-likely" and least is None:
        least = engine.scores(examples.images)[:, : engine.info.classes].argmin(1)
    return targets_of(setting, examples.labels, examples.positions, least, engine.info.classes)


def succeeds(engine: Engine, setting: AttackSetting, images: Tensor, part: Examples) -> Tensor:
    """Say which images get another class than their label, or their target where there is one."""
    scores, targets = engine.scores(images), aims(engine, setting, part)
    if targets is not None:
        return scores.argmax(1) == targets
    return is_adversarial(scores, part.labels, classes=engine.info.classes)
