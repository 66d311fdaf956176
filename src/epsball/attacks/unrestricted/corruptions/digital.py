"""Corruptions of handling: contrast, elastic bending, coarse pixels, JPEG."""

import torch
from torch import Tensor

from epsball.attacks.unrestricted.corruptions.filters import box_resize, gaussian_blur, sample
from epsball.attacks.unrestricted.corruptions.levels import Levels, is_small
from epsball.image_codec import through_jpeg
from epsball.randomness import Randomness, uniform

_CONTRAST = Levels((0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05))
_ELASTIC = Levels(  # strength and smoothness of the bending, jolt of the frame; shares of the side
    ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
)
_UNIT = 244 / 224  # the shares above are of 244 pixels in ImageNet-C, where images have 224
_PIXELATE = Levels((0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25))
_QUALITY = Levels((80, 65, 58, 50, 40), (25, 18, 15, 10, 7))


def contrast(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature
    """Draw every channel towards its mean."""
    means = inputs.mean((2, 3), keepdim=True)
    return (inputs - means) * _CONTRAST.at(inputs, severity) + means


def elastic_transform(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:
    """Shift the frame by its corners, then bend the image like rubber."""
    strength, smoothness, jolt = _ELASTIC.at(inputs, severity)
    n, _, h, w = inputs.shape
    side = min(h, w) * (1 if is_small(inputs) else _UNIT)
    y = torch.arange(h, device=inputs.device).to(inputs)[:, None].expand(n, h, w)
    x = torch.arange(w, device=inputs.device).to(inputs).expand(n, h, w)
    frame = _jolted(inputs, jolt * side, generator)  # (n, 3, 2)
    jolted = torch.stack((y, x, torch.ones_like(x)), 3).flatten(1, 2) @ frame  # (n, h w, 2)
    rows, columns = jolted.view(n, h, w, 2).unbind(3)
    moved = sample(inputs, rows, columns, "mirror")
    bend = 2 * uniform(inputs.new_empty((n, 2, h, w)), generator) - 1
    bend = strength * side * gaussian_blur(bend, smoothness * side, truncate=3, border="reflect")
    return sample(moved, y + bend[:, 0], x + bend[:, 1], "reflect")


def _jolted(inputs: Tensor, jolt: float, generator: Randomness) -> Tensor:
    """Return (n, 3, 2), which maps (row, column, 1) of the result to a place in the image."""
    h, w = inputs.shape[2:]
    reach = max(1, min(h, w) // 3)
    corners = inputs.new_tensor([[reach, reach], [reach, -reach], [-reach, -reach]])
    corners = corners + inputs.new_tensor([h // 2, w // 2])
    sample = 2 * uniform(inputs.new_empty((len(inputs), 3, 2)), generator) - 1
    moved = torch.cat((corners + jolt * sample, torch.ones_like(sample[:, :, :1])), 2)  # (n, 3, 3)
    # three corners on one line, which is rare, have no frame: the pseudo-inverse gives the nearest
    inverse: Tensor = torch.linalg.pinv(moved.double())
    return (inverse @ corners.double()).to(inputs)


def pixelate(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature
    """Make the image small and large again."""
    share = _PIXELATE.at(inputs, severity)
    h, w = inputs.shape[2:]
    coarse = box_resize(inputs, max(1, int(h * share)), max(1, int(w * share)))
    return box_resize(coarse, h, w)


def jpeg_compression(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature
    """Store the image as a small JPEG; channels that are not three are stored one by one."""
    colour = inputs.shape[1] == 3
    planes = inputs if colour else inputs.flatten(0, 1)[:, None]
    pixels = (planes * 255).round().byte().cpu().numpy()
    stored = through_jpeg(pixels, _QUALITY.at(inputs, severity))
    return torch.from_numpy(stored).to(inputs).view(inputs.shape) / 255
