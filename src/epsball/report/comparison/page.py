"""The comparison page: two models on the same images, side by side."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from epsball.errors import InvalidInput
from epsball.files import write_bytes
from epsball.report.audit.page import facts
from epsball.report.audit.run import load_run, unique
from epsball.report.comparison.rivals import CLEAN, LEVEL, part_figure, rival_figure
from epsball.report.drawing.document import render
from epsball.report.drawing.figure import Figure
from epsball.report.drawing.numbers import count, distance, note, percent, points, probability
from epsball.report.drawing.table import Cell, Row, Table, table

NAME = "comparison.html"
_PAIR = 2


def write_comparison(runs: Sequence[Path], comparison: dict[str, Any], out: Path) -> Path:
    """Turn two finished runs and their paired comparison into one self-contained page.

    Args:
        runs: the two run directories, A first.
        comparison: {"a", "b", "n", "rows", "per_class"}: the models' names, the number of images
            both were shown, and the paired results per setting and per class.
        out: the page, if it ends in ".html"; else a directory to put `comparison.html` into.

    Returns:
        The page; the same input always gives the same bytes.

    Raises:
        InvalidInput: there are not two runs, one is not finished, or `out` cannot be written.
    """
    if len(runs) != _PAIR:
        raise InvalidInput(f"a comparison needs two runs, got {len(runs)}: name two directories")
    pair = [load_run(run) for run in runs]
    rows = list(comparison.get("rows") or [])
    norms = unique(row["norm"] for row in rows if row["variant"] != CLEAN)
    chosen = telling_row(rows)
    curves = [figure for norm in norms if (figure := rival_figure(rows, norm)) is not None]
    classes = _classes(comparison, chosen)
    page = render(
        "comparison.html",
        [*curves, *classes],
        names=_names(comparison),
        runs=pair,
        answer=answer(chosen, comparison.get("n")),
        images=comparison.get("n"),
        differences=difference_table(rows),
        curves=curves,
        classes=classes,
        sure=sure_table(list(comparison.get("per_class") or [])),
        facts=[facts(run) for run in pair],
    )
    return write_bytes(out if out.suffix == ".html" else out / NAME, page)


def _names(comparison: dict[str, Any]) -> list[str]:
    """The models' names; where they are one, the directories tell them apart."""
    names, places = ([str(comparison[s][key]) for s in ("a", "b")] for key in ("name", "dir"))
    if names[0] != names[1]:
        return names
    return [f"{name} ({place})" for name, place in zip(names, places, strict=True)]


def telling_row(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Pick the setting to speak of: the strongest attack, where about half is still right.

    Args:
        rows: of the comparison.

    Returns:
        The row; None where no attacked accuracy is known.
    """
    known = [
        row
        for row in rows
        if row["variant"] != CLEAN and None not in (row["accuracy_a"], row["accuracy_b"])
    ]
    left = {
        (row["variant"], row["norm"]): fmean(
            r["accuracy_a"] + r["accuracy_b"]
            for r in known
            if (r["variant"], r["norm"]) == (row["variant"], row["norm"])
        )
        for row in known
    }
    strong = [row for row in known if left[row["variant"], row["norm"]] == min(left.values())]
    return min(strong, key=lambda row: abs(row["accuracy_a"] + row["accuracy_b"] - 1), default=None)


def answer(
    row: dict[str, Any] | None, images: int | None, *, names: tuple[str, str] = ("A", "B")
) -> str:
    """Say in one sentence which model stands longer, and whether that may be chance.

    Args:
        row: the setting to speak of.
        images: how many images both models were shown.
        names: of the models.

    Returns:
        The sentence.
    """
    if row is None:
        return "No comparison is printed: at least one of the two runs may print no number."
    a, b = row["accuracy_a"], row["accuracy_b"]
    where = f"under {row['variant']} at eps {distance(row['eps'])} in {row['norm']}"
    first = (
        f"Of the same {count(images)} images, {names[0]} gets at most {percent(a)} right {where}, "
        f"{names[1]} at most {percent(b)}"
    )
    if a != b:
        more, less = names if a < b else names[::-1]
        first = f"{more} is fooled more easily than {less}. {first}"
    p = row.get("p_value")
    if p is None:
        return f"{first}."
    chance = "more than chance" if p < LEVEL else "not shown to be more than chance"
    return f"{first}; the difference is {chance} (paired test, p {_p(p)})."


def difference_table(rows: list[dict[str, Any]]) -> Table:
    """List both accuracies of every setting, and on how many images only one model is right."""
    heads = "attack|norm|#eps|#A|#B|#B minus A, points|#only A right|#only B right|#p"
    lines: list[Row] = []
    for r in rows:
        a, b = r["accuracy_a"], r["accuracy_b"]
        gap = None if None in (a, b) else b - a
        lines.append(
            [
                str(r["variant"]),
                "" if r["variant"] == CLEAN else str(r["norm"]),
                "" if r["variant"] == CLEAN else distance(r["eps"]),
                Cell(percent(a), note=note(r.get("ci_a"))),
                Cell(percent(b), note=note(r.get("ci_b"))),
                points(gap),
                count(r.get("only_a_right")),
                count(r.get("only_b_right")),
                probability(r.get("p_value")),
            ]
        )
    return table("Both models on the same images, with 95 % intervals", heads, lines)


def sure_table(entries: list[dict[str, Any]]) -> Table | None:
    """List the classes that differ by more than chance, in every setting; None without any."""
    significant = [e for e in entries if e.get("p_holm") is not None and e["p_holm"] < LEVEL]
    if not significant:
        return None
    heads = "class|attack|norm|#eps|#images|#A|#B|#p|#p (Holm)"
    rows = [
        [
            str(e["name"]),
            str(e["variant"]),
            str(e["norm"]),
            distance(e["eps"]),
            count(e["n"]),
            percent(e["accuracy_a"]),
            percent(e["accuracy_b"]),
            probability(e["p_value"]),
            probability(e["p_holm"]),
        ]
        for e in significant
    ]
    return table("Classes that differ by more than chance, in every setting", heads, rows)


def _classes(comparison: dict[str, Any], chosen: dict[str, Any] | None) -> list[Figure]:
    if chosen is None:
        return []
    keys = ("variant", "norm", "eps")
    entries = [
        entry
        for entry in comparison.get("per_class") or []
        if all(entry[key] == chosen[key] for key in keys)
    ]
    words = f"under {chosen['variant']} at eps {distance(chosen['eps'])} in {chosen['norm']}"
    figure = part_figure(entries, words)
    return [figure] if figure is not None else []


def _p(value: float) -> str:
    text = probability(value)
    return text if text.startswith("<") else f"= {text}"
