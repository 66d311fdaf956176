"""Common corruptions: what weather, cameras and storage do to images without any adversary."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from epsball.attacks.core.checks import check_call, of_images
from epsball.attacks.core.validated import validated
from epsball.attacks.core.worst_of import worst_of
from epsball.attacks.spec import AttackSpec
from epsball.attacks.unrestricted.corruptions.blur import (
    defocus_blur,
    glass_blur,
    motion,
    zoom_blur,
)
from epsball.attacks.unrestricted.corruptions.digital import (
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
)
from epsball.attacks.unrestricted.corruptions.levels import SEVERITIES
from epsball.attacks.unrestricted.corruptions.noise import gaussian_noise, impulse_noise, shot_noise
from epsball.attacks.unrestricted.corruptions.weather import brightness, fog, frost, snow
from epsball.errors import InvalidInput, unknown_name
from epsball.randomness import ImageStreams, Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Search

# (n, c, h, w) in [0, 1], severity from 1 to 5, source of chance -> (n, c, h, w), not yet clipped
Corruption: TypeAlias = Callable[[Tensor, int, Randomness], Tensor]
ALL = "all"

CORRUPTIONS: Mapping[str, Corruption] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "defocus_blur": defocus_blur,
    "glass_blur": glass_blur,
    "motion_blur": motion,
    "zoom_blur": zoom_blur,
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "brightness": brightness,
    "contrast": contrast,
    "elastic_transform": elastic_transform,
    "pixelate": pixelate,
    "jpeg_compression": jpeg_compression,
}


@validated
@of_images
def corruptions(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    kind: str = ALL,
    severity: int = 3,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Corrupt each image in every common way, and keep the way that fools the model most.

    Args:
        model: maps (n, c, h, w) in [0, 1] to scores (n, k); only its answers are used.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        kind: "all", or one name of CORRUPTIONS: then every image comes back with that corruption,
            and the share that is fooled is the error rate of the benchmark.
        severity: 1 (mild) to 5.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of the corruptions' chance; torch's global one when None.
        search: what may be saved; with `retire`, an image that is fooled is corrupted in no
            further way.

    Returns:
        (n, c, h, w) in [0, 1]; of the corrupted images, the one that ranks highest by
        (success, margin). The clean image is not among them.

    Raises:
        InvalidInput: an argument breaks its rule.

    Example:
        >>> x, y = torch.rand((1, 3, 8, 8)), torch.tensor([0])
        >>> corruptions(torch.nn.Flatten(), x, y, kind="fog").shape
        torch.Size([1, 3, 8, 8])

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261; see `corrupt` for the departures.
    """
    check_call("corruptions", inputs, labels, targets, eps=None, norm=None, norms=())
    kinds = list(CORRUPTIONS) if kind == ALL else [kind]
    for name in kinds:
        _check_kind(name, severity, also=(ALL,))
    clean = inputs.detach()

    def corrupted(name: str, rows: Tensor) -> Tensor:
        return corrupt(clean[rows], name, severity, _chance_of(generator, name, rows))

    candidates = [partial(corrupted, name) for name in kinds]
    return worst_of(model, clean, labels, targets, candidates, search=search)


def corrupt(inputs: Images, kind: str, severity: int, generator: Randomness = None) -> Images:
    """Corrupt images in one way.

    Args:
        inputs: (n, c, h, w), float, in [0, 1]. Images of up to 64 pixels a side get the
            parameters of CIFAR-10-C, larger ones those of ImageNet-C.
        kind: a name of CORRUPTIONS.
        severity: 1 (mild) to 5.
        generator: see `epsball.randomness.uniform`.

    Returns:
        (n, c, h, w), in [0, 1], in the dtype of inputs.

    Raises:
        InvalidInput: no such corruption, or no such severity.

    Example:
        >>> corrupt(torch.full((1, 1, 1, 2), 0.5), "brightness", 3).flatten()
        tensor([0.6500, 0.6500])

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, appendix A, and the authors' code.
    Departures: frost is grown by a procedure where theirs is photographed; values are rounded to 8
    bits by JPEG only; elastic takes shares of the shorter side where theirs are pixels of images
    of 32 and 244; ImageNet-C's second storage as JPEG is left out. Glass blur keeps what their code
    does: a pixel is overwritten by a near one, not exchanged with it.
    """
    _check_kind(kind, severity)
    # half precision has too few steps for the landscapes of fog, and no Poisson numbers
    exact = inputs if inputs.dtype == torch.float64 else inputs.float()
    return CORRUPTIONS[kind](exact.detach(), severity, generator).clamp(0, 1).to(inputs.dtype)


def _chance_of(generator: Randomness, kind: str, rows: Tensor) -> Randomness:
    """Return streams of a corruption's own, so that it gives the same alone and among others."""
    if isinstance(generator, ImageStreams):
        return generator.restarted(list(CORRUPTIONS).index(kind)).rows(rows)
    return generator


def _check_kind(kind: str, severity: int, also: tuple[str, ...] = ()) -> None:
    if kind not in CORRUPTIONS:
        raise unknown_name("corruption", kind, (*CORRUPTIONS, *also))
    if severity not in SEVERITIES:
        raise InvalidInput(f"corruptions: severity must be 1 to 5, got {severity}")


SPEC = AttackSpec(
    corruptions,
    kind="other",
    norms=(),
    source="Hendrycks and Dietterich 2019, arXiv:1903.12261",
    needs_gradient=False,
    random=True,
    keeps="success",
)
