"""What a study says, as plain data: the report draws it, the Markdown page writes it. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from epsball.studies.claims.table import Verdict

Words: TypeAlias = str | tuple[str, ...]  # of a cell; all but the first stand small below it


@dataclass(frozen=True)
class TableBlock:
    """A table.

    Args:
        caption: what it holds, in a few words.
        heads: separated by "|"; one that starts with "#" holds numbers.
        rows: one cell a head.
        folded: whether it is there for who asks only.
    """

    caption: str
    heads: str
    rows: Sequence[Sequence[Words]]
    folded: bool = False
    block: Literal["table"] = "table"


@dataclass(frozen=True)
class PlotBlock:
    """A figure of points, joined to lines or not, in one or more panels.

    Args:
        key: its name in the page: letters, digits, hyphens.
        caption: what is seen.
        alt: what it shows, for those who cannot see it.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        points: each {"series", "panel", "x", "y"} and, where known, "low", "high" (of y), "left",
            "right" (of x), "label", "shape".
        lines: whether points of a series are joined, in the order of x.
        shares: which axes hold shares in [0, 1]: "", "x", "y" or "xy".
    """

    key: str
    caption: str
    alt: str
    x: str
    y: str
    points: Sequence[Mapping[str, Any]]
    lines: bool = True
    shares: str = "y"
    block: Literal["figure"] = "figure"


@dataclass(frozen=True)
class Tile:
    """One image of a strip: at which eps, what the model said and how sure it was."""

    eps: float
    prediction: str
    right: bool
    confidence: float


@dataclass(frozen=True)
class StripBlock:
    """One image under a row of eps.

    Args:
        title: what is seen.
        attack: the attack's name.
        file: in the study's directory: an npz with "images" (m, c, h, w), the clean one first.
        label: the true class, in words.
        tiles: one an image.
    """

    title: str
    attack: str
    file: str
    label: str
    tiles: Sequence[Tile]
    block: Literal["strip"] = "strip"


Block: TypeAlias = TableBlock | PlotBlock | StripBlock


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, one paragraph, and blocks."""

    key: str
    title: str
    lede: str
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Story:
    """All that a study says.

    Args:
        question: the title.
        answer: the result in one or two sentences.
        sections: in reading order.
        verdicts: one a claim of the study.
        notes: departures and choices of values that the source does not state.
    """

    question: str
    answer: str
    sections: Sequence[Section]
    verdicts: Sequence[Verdict]
    notes: Sequence[str] = field(default_factory=tuple)

    def as_dict(self) -> dict[str, Any]:
        """Return the story as plain data, in the form summary.json holds."""
        return asdict(self)
