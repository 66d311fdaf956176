"""How far a cheap verdict may be believed, by what a dear attack does to a few survivors.

Imports no torch.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from epsball.errors import InvalidInput
from epsball.evaluation.metrics.present import counted, percent

Requested: TypeAlias = int | Literal["auto", "none"]
_LEVEL = 0.95
_MOST, _FEWEST = 30, 5  # control images where their number is left open; fewer would say nothing


def read_belief(value: int | str) -> Requested:
    """Read how many control images are asked for: a number, auto or none.

    Raises:
        InvalidInput: it is none of these.

    Example:
        >>> read_belief("30"), read_belief("none")
        (30, 'none')
    """
    text = str(value).strip()
    if text == "auto":
        return "auto"
    if text == "none":
        return "none"
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInput(
            f"belief must be a number of control images, auto or none, got {value!r}: write 30"
        )
    return int(text)


def control_count(requested: Requested, survivors: int, spent: float, each: float) -> int:
    """Return how many survivors are attacked as a control.

    Args:
        requested: a number, of which no more than there are survivors are taken; "auto": at most
            30, and so many that the control costs no more than the verdict did; where fewer than
            five are left by that, none.
        survivors: images that no attack has fooled.
        spent: cost of the verdict, in forward passes.
        each: cost of a control image that is not fooled.

    Example:
        >>> control_count("auto", 200, 250_000, 10_700), control_count("auto", 200, 50_000, 10_700)
        (23, 0)
        >>> control_count(30, 12, 0, 10_700)
        12
    """
    if requested == "none":
        return 0
    if requested != "auto":
        return min(requested, survivors)
    affordable = min(_MOST, survivors, int(spent / each))
    return affordable if affordable >= min(_FEWEST, survivors) else 0


def most_fallible(survivors: int, controls: int, *, level: float = _LEVEL) -> int:
    """Return how many survivors may be fooled by an attack that fooled no control, at most.

    Args:
        survivors: images that the cheap attack did not fool.
        controls: a random sample of them, none of which the dear attack fooled.
        level: chance that a sample without any is not drawn where more are fallible.

    Returns:
        The largest number under which a control without any has a probability above 1 - level:
        exact, for a sample without replacement.

    Example:
        >>> most_fallible(200, 30), most_fallible(30, 30), most_fallible(30, 0)
        (17, 0, 30)
    """
    from scipy.stats import hypergeom

    numbers = np.arange(survivors - controls + 1)
    missed = hypergeom.pmf(0, survivors, numbers, controls) if controls else np.ones(len(numbers))
    return int(numbers[missed > 1 - level].max())


@dataclass(frozen=True)
class Believed:
    """The result of a control.

    Args:
        attack: the dear attack.
        images: of the run.
        survivors: images that no attack of the run had fooled, at the largest eps.
        controls: a random sample of them that the dear attack was run on.
        fallen: how many of these it fooled; more than none, and it was run on all images.
        blind: no control has a gradient, so that the control says little.
        requested: how many were asked for.
    """

    attack: str
    images: int
    survivors: int
    controls: int
    fallen: int
    blind: bool = False
    requested: Requested = "auto"

    @property
    def at_most_lower(self) -> float | None:
        """Return by how much the dear attack may lower the rate, at 95 %; None: nothing is known.

        A share of all images.
        """
        if not self.survivors:
            return 0.0
        if self.blind or self.fallen or not self.controls:
            return None
        return most_fallible(self.survivors, self.controls) / self.images

    @property
    def sentence(self) -> str:
        """Say what the control found, as a part of a sentence."""
        if not self.survivors:
            return "no image survives, so that there is nothing to believe"
        if not self.controls:
            return (
                f"no control by {self.attack}, which would cost more than the verdict did "
                f"(--belief 10 attacks ten of {counted(self.survivors, 'survivor')} all the same)"
            )
        some = isinstance(self.requested, int) and self.requested > self.controls
        drawn = f"{counted(self.controls, 'image')} drawn from {self.survivors:,} survivors"
        of = f"all {counted(self.controls, 'survivor')}" if some else drawn
        result = f"control: {self.attack} fools {self.fallen:,} of {of}"
        if self.fallen:
            return f"{result}, so that all images were attacked with it"
        if self.at_most_lower is None:
            return f"{result}, which have no gradient that it could follow"
        points = percent(self.at_most_lower).removesuffix(" %")
        return f"{result}, so it would lower this by at most {points} points (95 %)"

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, in the form summary.json holds."""
        return asdict(self) | {"at_most_lower": self.at_most_lower, "sentence": self.sentence}
