"""What became of the pairs, as rows and as a page."""

from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
from benchmarks.drawn_pairs.mended import MENDED

VERDICTS = {
    "right": "clean accuracy and that of the attacked images are those of float64, and no weaker "
    "attack than the judge's own",
    "finding": "a rate is withheld, or a finding names the doubt",
    "refused": "one line, nothing written",
    "no effect": "a mistake whose effect so few images cannot show (Fisher, p at least 0.0001)",
    "wrong": "**wrong in silence**",
    "changed": "**the model was left as another one**",
    "traceback": "**a traceback**",
}
_FAULTS = ("wrong", "changed", "traceback")
_DIMENSIONS = (
    "architecture",
    "behaviour",
    "form",
    "precision",
    "given",
    "range",
    "layout",
    "order",
)
_INTRODUCTION = """# Random pairs of a model and data

Each pair is an architecture trained on MNIST, coloured MNIST, threes against eights or CIFAR-10,
something it does to its scores or its input, a form in which it is handed over, a type of its
parameters, a scaling that it expects and one that it is given, and images with labels in some
range, layout and order. `audit` attacks it with fgsm and pgd (5 steps, eps 0.06), and
`benchmarks/drawn_pairs/judging.py` judges what is printed by the trained network itself in
float64: clean accuracy, accuracy of the attacked images, ball and box, and its own five steps of
descent on the margin. A finding counts only where it is one of those that tell of the mistake in
the pair. No code of epsball takes part in the judgement.
"""


def write_page(
    rows: list[dict[str, Any]], page: Path | None, file: Path | None, command: str
) -> None:
    """Print the counts; write the page and the rows where a file is named.

    Args:
        rows: one a pair.
        page: Markdown, written anew.
        file: Parquet, written anew.
        command: that makes them.
    """
    counts = Counter(row["verdict"] for row in rows)
    print(dict(counts))
    built = [row for row in rows if row["verdict"] in VERDICTS]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(built, infer_schema_length=None).write_parquet(file)
    if page is not None:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(built, len(rows), command), encoding="utf-8")


def _page(rows: list[dict[str, Any]], drawn: int, command: str) -> str:
    mistaken = Counter(row["verdict"] for row in rows if row["mistaken"])
    usual = Counter(row["verdict"] for row in rows if not row["mistaken"])
    table = _table(
        ("outcome", "without a mistake", "with one", "meaning"),
        ((v, usual[v], mistaken[v], text) for v, text in VERDICTS.items()),
    )
    faults = [row for row in rows if row["verdict"] in _FAULTS]
    lines = [
        _INTRODUCTION,
        f"Made by `{command}` with torch {version('torch')}.",
        "",
        f"{drawn:,} pairs were drawn; torch cannot build {drawn - len(rows)} of them (a script "
        f"of a model that returns an object, say). Of the other {len(rows):,}:",
        "",
        table,
        "",
        f"Wrong in silence, changed or a traceback: **{len(faults)}**.",
        *(f"- pair {row['number']}: {row['detail']}" for row in faults),
        "",
        "A pair without a mistake that is refused or withheld does something no score can be read "
        "from (a tuple, one column, no gradient for a gradient attack ...).",
        "",
    ]
    lines += ["## What the drawing has found", "", *(f"- {one}" for one in MENDED), ""]
    for dimension in _DIMENSIONS:
        lines += [f"## By {dimension}", "", _by(rows, dimension), ""]
    return "\n".join(lines)


def _by(rows: list[dict[str, Any]], dimension: str) -> str:
    counts = Counter((row[dimension], row["verdict"]) for row in rows)
    values = list(dict.fromkeys(sorted(row[dimension] for row in rows)))
    return _table(
        (dimension, *VERDICTS), ((v, *(counts[v, verdict] for verdict in VERDICTS)) for v in values)
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
