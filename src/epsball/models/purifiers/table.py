"""The table of preprocessing defences, and the reading of "jpeg:quality=75"."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from epsball.errors import unknown_name
from epsball.models.purifiers.bit_depth import BitDepth
from epsball.models.purifiers.camera import Camera
from epsball.models.purifiers.defended import Remedy
from epsball.models.purifiers.jpeg import JpegCompression
from epsball.models.purifiers.random_resizing import RandomResizing
from epsball.models.purifiers.smoothing import Smoothing
from epsball.named_settings import read_settings, split_named


@dataclass(frozen=True)
class DefenceSpec:
    """One preprocessing defence of the zoo.

    Args:
        name: as it is asked for.
        build: makes the step; its settings have defaults.
        remedy: how it is broken: "bpda", "expectation", or "none" where a plain gradient does it.
        source: where it comes from.
    """

    name: str
    build: Callable[..., nn.Module]
    remedy: Remedy
    source: str

    @property
    def summary(self) -> str:
        """Return the first line of its docstring."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]

    @property
    def knobs(self) -> dict[str, Any]:
        """Return its settings and their defaults."""
        return {n: p.default for n, p in inspect.signature(self.build).parameters.items()}


DEFENCES = {
    spec.name: spec
    for spec in (
        DefenceSpec("jpeg", JpegCompression, "bpda", "Guo et al. 2018, arXiv:1711.00117"),
        DefenceSpec("bit-depth", BitDepth, "bpda", "Xu et al. 2018, arXiv:1704.01155"),
        DefenceSpec("camera", Camera, "expectation", "Kurakin et al. 2017, arXiv:1607.02533"),
        DefenceSpec("smoothing", Smoothing, "none", "Xu et al. 2018, arXiv:1704.01155"),
        DefenceSpec(
            "random-resizing", RandomResizing, "expectation", "Xie et al. 2018, arXiv:1711.01991"
        ),
    )
}


def defence_named(text: str) -> nn.Module:
    """Build a defence of the table from what a person types.

    Args:
        text: its name, with settings where the defaults do not suit: "jpeg", "jpeg:quality=50",
            "smoothing:kernel=2,kind=median".

    Returns:
        The step, to be put before a model by `defended`.

    Raises:
        InvalidInput: no such defence or setting, or a value that breaks its rule.

    Example:
        >>> defence_named("jpeg:quality=50")
        JpegCompression(quality=50)
    """
    name, texts = split_named(text)
    if name not in DEFENCES:
        raise unknown_name("defence", name, DEFENCES)
    spec = DEFENCES[name]
    return spec.build(**read_settings(name, texts, spec.knobs))
