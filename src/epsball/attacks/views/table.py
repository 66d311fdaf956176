"""Every view that a transfer attack can average over, and how several are combined."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from epsball.attacks.views.resizing import diversity, scale
from epsball.attacks.views.shuffle import shuffle
from epsball.attacks.views.structure import structure
from epsball.errors import InvalidInput, unknown_name
from epsball.randomness import Randomness

# (images, number of the copy, generator) -> images
View: TypeAlias = Callable[[Tensor, int, Randomness], Tensor]
NONE = "none"


@dataclass(frozen=True)
class ViewSpec:
    """One view.

    Args:
        view: the function.
        copies: the number of copies that its source averages over.
        source: where it comes from.
    """

    view: View
    copies: int
    source: str


VIEWS: Mapping[str, ViewSpec] = {
    "diversity": ViewSpec(diversity, 1, "Xie et al. 2019, arXiv:1803.06978"),
    "scale": ViewSpec(scale, 5, "Lin et al. 2020, arXiv:1908.06281"),
    "structure": ViewSpec(structure, 20, "Wang et al. 2023, arXiv:2309.14700"),
    "shuffle": ViewSpec(shuffle, 20, "Wang et al. 2024, arXiv:2308.10299"),
}


@dataclass(frozen=True)
class Views:
    """Several views, applied one after the other.

    Args:
        views: in the order in which they are applied; none: the images as they are.
        copies: the number of copies that gradients are averaged over.
    """

    views: tuple[View, ...]
    copies: int

    def __call__(self, images: Tensor, number: int, generator: Randomness) -> Tensor:
        """Return copy `number` of the images, (n, c, h, w)."""
        for view in self.views:
            images = view(images, number, generator)
        return images


def named_views(attack: str, names: str, copies: int) -> Views:
    """Combine views by their names.

    Args:
        attack: its name, for messages.
        names: names of `VIEWS` separated by "+", or "none".
        copies: the number of copies; 0: the largest number that one of the views asks for.

    Raises:
        InvalidInput: an unknown or repeated name, or a negative number of copies.

    Example:
        >>> named_views("transfer", "diversity+scale", 0).copies
        5
    """
    if copies < 0:
        raise InvalidInput(f"{attack}: copies must be >= 0, got {copies}; 0 leaves it to the views")
    requested = [] if names == NONE else names.split("+")
    for name in requested:
        if name not in VIEWS:
            raise unknown_name(f"view of {attack}", name, [*VIEWS, NONE])
    if len(set(requested)) < len(requested):
        raise InvalidInput(f"{attack}: each view can be named once, got {names!r}")
    specs = [VIEWS[name] for name in requested]
    return Views(
        tuple(spec.view for spec in specs), copies or max((s.copies for s in specs), default=1)
    )
