"""Print and photograph: what happens to an image on its way through paper and lens."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.image_codec import through_jpeg
from epsball.models.loading.request import optional
from epsball.models.purifiers.defended import Remedy
from epsball.randomness import Randomness, normal, uniform
from epsball.straight_through import StraightThrough

_LUMA = (0.299, 0.587, 0.114)
_SCREEN = 2.2  # pixels of a halftone cell; angles of cyan, magenta and yellow
_ANGLES = (15.0, 75.0, 0.0)


@dataclass(frozen=True)
class Shot:
    """How far each step may go at one severity; every image draws its own values.

    Args:
        black: the darkest that the paper shows, in [0, 1].
        white: the brightest.
        saturation: share of the colour that ink and paper keep, in [0, 1].
        halftone: amplitude of the dots on mid-grey.
        tilt: how far a corner is displaced, as a share of the side.
        blur: largest standard deviation of the lens, in pixels.
        light: largest change of brightness; contrast changes by up to three times as much.
        noise: standard deviation of the sensor's noise on white.
        quality: lowest quality of the JPEG file, 1 to 95.
    """

    black: float
    white: float
    saturation: float
    halftone: float
    tilt: float
    blur: float
    light: float
    noise: float
    quality: int


SEVERITIES = (
    Shot(0.01, 0.99, 0.98, 0.01, 0.005, 0.3, 0.01, 0.005, 95),
    Shot(0.02, 0.98, 0.96, 0.02, 0.01, 0.5, 0.03, 0.01, 90),
    Shot(0.04, 0.96, 0.92, 0.03, 0.02, 0.8, 0.05, 0.015, 85),
    Shot(0.06, 0.94, 0.88, 0.05, 0.04, 1.2, 0.08, 0.025, 75),
    Shot(0.10, 0.90, 0.80, 0.08, 0.06, 1.8, 0.12, 0.04, 60),
)


class Camera(nn.Module):
    """Print every image, and photograph the paper.

    Numbers are drawn from torch's global generator, anew for every image of every pass. The
    gradient goes through; that of the JPEG file is taken to be one.

    Args:
        severity: 1 (a scanner) to 5 (a telephone in a dark room).

    Raises:
        InvalidInput: severity is outside 1 to 5; or kornia is not installed.

    Source: Kurakin et al. 2017, arXiv:1607.02533, section 3, print and photograph; they use paper
        and a telephone. The steps and their strengths are ours, in the manner of Hendrycks and
        Dietterich 2019, arXiv:1903.12261: five severities.

    Example:
        >>> Camera(severity=2)
        Camera(severity=2)
    """

    remedy: Remedy = "expectation"

    def __init__(self, severity: int = 3) -> None:
        super().__init__()
        shot_of(severity)
        self.severity = severity
        self.training = False  # there is no other mode

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the photographs, (n, c, h, w), multiples of 1/255."""
        return photograph(inputs, severity=self.severity)

    def extra_repr(self) -> str:
        """Return the settings: they are part of what the model is."""
        return f"severity={self.severity}"


def shot_of(severity: int) -> Shot:
    """Return the limits of a severity.

    Raises:
        InvalidInput: it is not one of 1 to 5.
    """
    if not 1 <= severity <= len(SEVERITIES):
        raise InvalidInput(f"Camera: severity must be 1 to {len(SEVERITIES)}, got {severity}")
    return SEVERITIES[severity - 1]


def photograph(images: Tensor, *, severity: int = 3, generator: Randomness = None) -> Tensor:
    """Print images and photograph the paper, each in its own way.

    Args:
        images: (n, c, h, w), float in [0, 1]; 1 or 3 channels.
        severity: 1 to 5.
        generator: image streams, a torch generator, or None for torch's global one.

    Returns:
        (n, c, h, w), multiples of 1/255 in [0, 1]; differentiable.

    Raises:
        InvalidInput: a severity or a number of channels that does not exist.
    """
    shot = shot_of(severity)
    if images.shape[1] not in (1, len(_LUMA)):
        raise InvalidInput(f"Camera: images must have 1 or 3 channels, got {images.shape[1]}")
    if not len(images):
        return images
    printed = _printed(images, shot, generator)
    blurred = _blurred(_tilted(printed, shot, generator), shot, generator)
    exposed = _exposed(blurred, shot, generator)
    spread = shot.noise * exposed.detach().clamp(0.05, 1).sqrt()  # shot noise grows with light
    noisy = (exposed + spread * normal(exposed, generator)).clamp(0, 1)
    quality = _between(noisy, shot.quality, 95, generator)[:, 0, 0, 0].round().int().tolist()
    stored: Tensor = StraightThrough(lambda values: _through_jpeg(values, quality))(noisy)
    return stored


def _printed(images: Tensor, shot: Shot, generator: Randomness) -> Tensor:
    """Compress colours to what ink on paper shows, and screen them into dots."""
    if images.shape[1] == len(_LUMA):
        weights = images.new_tensor(_LUMA).view(1, -1, 1, 1)
        grey = (images * weights).sum(1, keepdim=True)
        images = grey + shot.saturation * (images - grey)
    dots = shot.halftone * _screen(images, generator) * 4 * images * (1 - images)
    return shot.black + (shot.white - shot.black) * (images + dots).clamp(0, 1)


def _screen(images: Tensor, generator: Randomness) -> Tensor:
    """Return (n, c, h, w) in [-1, 1]: a lattice of dots for each ink, at a random place."""
    _, channels, height, width = images.shape
    y = torch.arange(height, device=images.device, dtype=images.dtype)[:, None]
    x = torch.arange(width, device=images.device, dtype=images.dtype)
    place = 2 * math.pi * uniform(images[:, :2, :1, :1].expand(-1, 2, -1, -1), generator)
    inks = []
    for angle in _ANGLES[:channels]:
        turn = math.radians(angle)
        along = (x * math.cos(turn) + y * math.sin(turn)) * (2 * math.pi / _SCREEN)
        across = (y * math.cos(turn) - x * math.sin(turn)) * (2 * math.pi / _SCREEN)
        inks.append((torch.cos(along + place[:, 0]) + torch.cos(across + place[:, 1])) / 2)
    return torch.stack(inks, dim=1)


def _tilted(images: Tensor, shot: Shot, generator: Randomness) -> Tensor:
    """Displace the corners at random: perspective, rotation, crop and scale at once."""
    transform = optional("kornia.geometry.transform", extra="physical", needed_by="camera")
    count, _, height, width = images.shape
    corners = images.new_tensor([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    draws = 2 * uniform(images.new_zeros(count, 4, 2), generator) - 1
    moved = corners + shot.tilt * draws * images.new_tensor([width, height])
    matrix = transform.get_perspective_transform(moved, corners.expand(count, -1, -1))
    warped: Tensor = transform.warp_perspective(
        images, matrix, (height, width), padding_mode="border", align_corners=True
    )
    return warped


def _blurred(images: Tensor, shot: Shot, generator: Randomness) -> Tensor:
    filters = optional("kornia.filters", extra="physical", needed_by="camera")
    sigma = _between(images, 0.2, shot.blur, generator)[:, :, 0, 0].expand(-1, 2)
    side = min(2 * math.ceil(3 * shot.blur) + 1, 2 * ((min(images.shape[-2:]) - 1) // 2) + 1)
    blurred: Tensor = filters.gaussian_blur2d(images, (side, side), sigma, border_type="replicate")
    return blurred


def _exposed(images: Tensor, shot: Shot, generator: Randomness) -> Tensor:
    """Change brightness and contrast, and the balance of colours a little."""
    light = _between(images, -shot.light, shot.light, generator)
    contrast = _between(images, 1 - 3 * shot.light, 1 + 3 * shot.light, generator)
    channels = images[:, :, :1, :1]
    balance = 1 + shot.light * (2 * uniform(channels, generator) - 1) * (channels.shape[1] > 1)
    return (((images - 0.5) * contrast + 0.5 + light) * balance).clamp(0, 1)


def _between(like: Tensor, low: float, high: float, generator: Randomness) -> Tensor:
    """Draw one number an image, (n, 1, 1, 1)."""
    return low + (high - low) * uniform(like[:, :1, :1, :1], generator)


def _through_jpeg(images: Tensor, quality: list[int]) -> Tensor:
    """Write and read images as JPEG, each with its own quality."""
    levels = (images * 255).round().byte().cpu().numpy()
    read = [through_jpeg(levels[i : i + 1], worth) for i, worth in enumerate(quality)]
    return torch.from_numpy(np.concatenate(read)).to(images) / 255
