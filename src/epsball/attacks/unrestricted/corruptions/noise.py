"""Corruptions that disturb every pixel on its own: noise of the sensor and of the line."""

import torch
from torch import Tensor

from epsball.attacks.unrestricted.corruptions.levels import Levels
from epsball.randomness import Randomness, normal, uniform

_GAUSSIAN = Levels((0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38))
_PHOTONS = Levels((500, 250, 100, 75, 50), (60, 25, 12, 5, 3))
_SHARE = Levels((0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27))
_FEW = 10.0  # below this mean, Poisson numbers are counted out; above, the expansion is exact


def gaussian_noise(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:
    """Add normal noise to every value, as dark scenes have it."""
    return inputs + _GAUSSIAN.at(inputs, severity) * normal(inputs, generator)


def shot_noise(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:
    """Count a limited number of photons (Poisson noise)."""
    photons = _PHOTONS.at(inputs, severity)
    return poisson(inputs * photons, uniform(inputs, generator)) / photons


def impulse_noise(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:
    """Turn some values black or white, each channel for itself (salt and pepper)."""
    share = _SHARE.at(inputs, severity)
    sample = uniform(inputs, generator)
    spoilt = torch.where(sample < share / 2, 1.0, 0.0).to(inputs)
    return torch.where(sample < share, spoilt, inputs)


def poisson(mean: Tensor, uniform_sample: Tensor) -> Tensor:
    """Turn uniform numbers into Poisson numbers: the smallest count whose chance reaches drawn.

    Args:
        mean: (...), at least 0.
        uniform_sample: (...), in [0, 1), 24 bits.

    Returns:
        (...), whole numbers, in the dtype of mean.

    Source: for means of 10 or more the expansion of Giles 2016, Algorithm 955 (ACM TOMS 42, 7);
    its count is off by one in fewer than one of 10,000 draws.
    """
    z: Tensor = torch.special.ndtri(uniform_sample.double().clamp(2.0**-25, 1 - 2.0**-25))
    rate = mean.double().clamp_min(_FEW)
    count = rate + rate.sqrt() * z + (2 + z**2) / 6 - (2 * z + z**3) / (72 * rate.sqrt())
    count = (count + (7 * z**2 - 16 + 3 * z**4) / (810 * rate)).floor().to(mean)
    few = mean < _FEW
    count[few] = _counted_out(mean[few], uniform_sample[few])
    return count


def _counted_out(mean: Tensor, uniform_sample: Tensor) -> Tensor:
    """Add up the chances of 0, 1, 2 ... until they exceed drawn; for small means, (m,)."""
    highest = float(mean.amax()) if len(mean) else 0.0
    chance = torch.exp(-mean)
    reached, count = chance.clone(), torch.zeros_like(mean)
    # eight standard deviations and eight more: never exceeded within the 24 bits of a draw
    for number in range(1, int(highest + 8 * highest**0.5 + 8)):
        count += uniform_sample >= reached
        chance = chance * mean / number
        reached += chance
    return count
