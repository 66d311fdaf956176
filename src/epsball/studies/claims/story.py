"""The content of a study's page as plain data; the report renders it. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from epsball.evaluation.metrics.present import interval, percent
from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import Verdict

MISSING = "\N{EN DASH}"  # where a value was not measured

CellText: TypeAlias = str | tuple[str, ...]  # all but the first part are shown small below it


@dataclass(frozen=True)
class TableBlock:
    """A table.

    Args:
        caption: its content, in a few words.
        heads: separated by "|"; one that starts with "#" is a column of numbers.
        rows: one cell per head.
        folded: whether it is collapsed until a reader opens it.
    """

    caption: str
    heads: str
    rows: Sequence[Sequence[CellText]]
    folded: bool = False
    block: Literal["table"] = "table"


@dataclass(frozen=True)
class PlotBlock:
    """A figure of points, connected by lines or not, in one or more panels.

    Args:
        key: its name in the page: letters, digits, hyphens.
        caption: what it shows.
        alt: the same for readers who cannot see it.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        points: each {"series", "panel", "x", "y"} and, where known, "low", "high" (of y), "left",
            "right" (of x), "label", "shape".
        lines: whether points of a series are connected, in the order of x.
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
    """One image of a strip: its eps, the predicted class and its probability."""

    eps: float
    prediction: str
    right: bool
    confidence: float


@dataclass(frozen=True)
class StripBlock:
    """One image under a row of eps.

    Args:
        title: what it shows.
        attack: the attack's name.
        file: in the study's directory: an npz with "images" (m, c, h, w), the clean one first.
        label: the true class, in words.
        tiles: one per image.
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
    """The content of a study's page.

    Args:
        question: the title.
        answer: the result in one or two sentences.
        sections: in reading order.
        verdicts: one per claim of the study.
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


def share_text(estimate: Estimate | None) -> CellText:
    """Write a share and its interval in percent; a dash where it was not measured."""
    if estimate is None:
        return MISSING
    return percent(estimate.value), interval(estimate.interval)


def fraction_text(estimate: Estimate | None, source: float | None = None) -> CellText:
    """Write a fraction with four digits, its interval, and the source's value if it has one."""
    if estimate is None:
        return MISSING
    beside = () if source is None else (f"source {source:.4g}",)
    return f"{estimate.value:.4f}", f"{estimate.low:.3f} to {estimate.high:.3f}", *beside


def strip_block(rows: Sequence[Mapping[str, Any]], attack: str, beside: str) -> StripBlock:
    """Return the strip of a cell.

    Args:
        rows: of the cell, one per image.
        attack: the attack's name.
        beside: the attacked model or data; part of the title.
    """
    first = rows[0]
    tiles = [Tile(r["eps"], r["prediction"], bool(r["right"]), r["confidence"]) for r in rows]
    title = f"{first['label']} (image {first['position']}), {beside}"
    return StripBlock(title, attack, f"images/{first['cell']}.npz", first["label"], tiles)


def plot_point(estimate: Estimate, x: float, **names: str) -> dict[str, Any]:
    """Return a point of a `PlotBlock`: a measured value with its interval.

    Args:
        estimate: the value, on the vertical axis.
        x: on the horizontal axis.
        **names: "series", "panel" and others of `PlotBlock.points`.
    """
    return {**names, "x": x, "y": estimate.value, "low": estimate.low, "high": estimate.high}
