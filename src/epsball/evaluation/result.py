"""What an audit gives back: the answer, readable in a console and in a notebook."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from epsball.evaluation.checks.findings import is_blocked
from epsball.evaluation.metrics.present import eps_text, interval, percent
from epsball.evaluation.records.schema import SavedImages
from epsball.types import Finding

_HEADS = ("attack", "norm", "eps", "images", "robust", "95 % interval")


@dataclass(frozen=True, repr=False)
class Audit:
    """The results of an audit.

    Args:
        summary: the content of summary.json.
        records: one row per image, attack and eps.
        path: the run's directory; None where none was given.
        images: a few of the images, one a class as far as there are classes, clean and adversarial
            under every attack and eps; None where nothing was attacked. `epsball attack` and
            `epsball.attacks` give all of them.
    """

    summary: dict[str, Any]
    records: pl.DataFrame
    path: Path | None
    images: SavedImages | None = None

    @property
    def headline(self) -> str | None:
        """Return the answer in one sentence; None with a blocking finding."""
        sentence: str | None = self.summary["headline"]
        return sentence

    @property
    def findings(self) -> list[Finding]:
        """Return the doubts about this audit."""
        return [Finding(**one) for one in self.summary["findings"]]

    @property
    def blocked(self) -> bool:
        """Say whether a finding forbids printing a rate."""
        return is_blocked(self.findings)

    def __repr__(self) -> str:
        """Return the findings that matter, the answer and a small table."""
        rows = [_HEADS, *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*self._doubts(), self._answer(), "", *lines])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        doubts = "".join(f"<p>{escape(one)}</p>" for one in self._doubts())
        heads = "".join(f"<th>{head}</th>" for head in _HEADS)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
            for row in self._rows()
        )
        answer = f"<p style='font-size:1.3em'><b>{escape(self._answer())}</b></p>"
        return f"<div>{doubts}{answer}<table><tr>{heads}</tr>{rows}</table></div>"

    def _answer(self) -> str:
        nothing = "No rate is given: a blocking finding stands."
        return self.headline or (
            nothing if self.blocked else "Nothing was attacked: see 'foretold'."
        )

    def _doubts(self) -> list[str]:
        return [
            f"{one.severity}: {one.code}: {one.message}; {one.remedy}"
            for one in self.findings
            if one.severity != "info"
        ]

    def _rows(self) -> list[tuple[str, ...]]:
        worst = [{"variant": "worst case"} | row for row in self.summary["worst_case"]]
        return [
            (
                row["variant"],
                row["norm"],
                eps_text(row["eps"]),
                f"{row['n']:,}",
                "-" if row["robust_accuracy"] is None else percent(row["robust_accuracy"]),
                "-" if row["robust_accuracy"] is None else interval(row["robust_accuracy_ci"]),
            )
            for row in [*self.summary["results"], *worst]
        ]
