"""Colours: chosen to be told apart by colour-blind readers, and to read as text on both papers.

A figure is drawn once, in the light colours. The page turns it dark by style rules that put each
colour's dark partner in its place, so stills and live charts alike follow the reader's theme.
"""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup


class Ink(NamedTuple):
    """One colour as it looks on light and on dark paper."""

    light: str
    dark: str


PAPER = Ink("#fdfcfa", "#15181c")
INK = Ink("#1d2126", "#e9e6e1")
SOFT = Ink("#565d66", "#a9aeb5")
RULE = Ink("#dfdcd6", "#33383f")
FILL = Ink("#8f8b84", "#727984")
LESS = BLUE = Ink("#0067a5", "#6db6f0")
MORE = VERMILION = Ink("#b8430f", "#f4935f")
SERIES = (
    VERMILION,
    BLUE,
    Ink("#00735c", "#4cc9a4"),
    Ink("#8b4a9e", "#cfa0e6"),
    Ink("#7d5f00", "#e3bb4b"),
    Ink("#b0326b", "#f48fb5"),
    Ink("#0b7285", "#5fc4d6"),
    Ink("#6b5547", "#c9b09c"),
)
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_VARIABLES = {"paper": PAPER, "ink": INK, "soft": SOFT, "rule": RULE, "fill": FILL, "blue": BLUE}
_VARIABLES |= {"vermilion": VERMILION}


def series_colours(names: Sequence[str], *, controls: Sequence[str] = ()) -> list[str]:
    """Give each series its light colour; a control, being no attack, is drawn in grey.

    Args:
        names: the series, in the order in which they are listed.
        controls: those of them that are no attack: noise.

    Returns:
        One colour a name.
    """
    inks = iter(SERIES * (1 + len(names) // len(SERIES)))
    return [SOFT.light if name in controls else next(inks).light for name in names]


def series_shapes(names: Sequence[str]) -> list[str]:
    """Give each series its point shape, so that colour never stands alone."""
    return [SHAPES[place % len(SHAPES)] for place in range(len(names))]


def stylesheet() -> Markup:
    """Return the colours as style variables, and the rules that turn figures dark."""
    light = "".join(f"--{name}:{ink.light};" for name, ink in _VARIABLES.items())
    dark = "".join(f"--{name}:{ink.dark};" for name, ink in _VARIABLES.items())
    swaps = "".join(
        f'.chart [{part}="{ink.light}"]{{{part}:{ink.dark}}}'
        for ink in (PAPER, INK, SOFT, RULE, FILL, *SERIES)
        for part in ("fill", "stroke")
    )
    screen = f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}{swaps}}}"
    return Markup(f":root{{{light}}}{screen}")  # noqa: S704 - made of the constants above only
