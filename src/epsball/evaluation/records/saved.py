"""The images of the first shard that a report shows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from epsball.evaluation.engine.attacked import Attacked
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.settings import AttackSetting
from epsball.files import write_npz

_SHOWN = 10


def save_images(
    file: Path,
    setting: AttackSetting,
    examples: Examples,
    attacked: Sequence[Attacked],
    confidence: Tensor,
) -> None:
    """Write the images that the report shows, one a class as far as there are classes.

    Args:
        file: to write, npz.
        setting: the attack.
        examples: the clean images, with their scores read.
        attacked: the results at every eps of the setting.
        confidence: (e, n), of the class that the model names after the attack.
    """
    right = (examples.reading.prediction == examples.labels).numpy()
    labels = examples.labels.numpy()
    first_right = [int(np.flatnonzero(right & (labels == c))[0]) for c in np.unique(labels[right])]
    chosen = sorted(first_right)[:_SHOWN] or list(range(min(_SHOWN, len(labels))))
    arrays = {
        "positions": examples.positions.numpy()[chosen],
        "labels": labels[chosen],
        "clean": examples.images.numpy()[chosen],
        "adversarial": np.stack([one.images.numpy()[chosen] for one in attacked]),
        "confidence": confidence.numpy()[:, chosen],
        "eps": np.array(setting.eps),
        "variant": np.array(setting.variant),
        "norm": np.array(setting.norm),
    }
    write_npz(file, arrays)
