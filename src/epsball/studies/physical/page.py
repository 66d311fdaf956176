"""The page and the verdicts of study `physical`. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from epsball.evaluation.metrics.present import eps_text
from epsball.studies.claims.estimates import Estimate, difference, over_seeds
from epsball.studies.claims.story import (
    Block,
    CellText,
    PlotBlock,
    Story,
    TableBlock,
    plot_point,
    share_text,
)
from epsball.studies.claims.table import (
    Claim,
    Verdict,
    complete,
    judge_finding,
    judge_value,
    load_claims,
    not_run,
)
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import read_notes, write_story
from epsball.studies.core.options import Options
from epsball.studies.physical.plan import METHODS, NAME

NOTES = read_notes("epsball.studies.physical")
FILE, MIDDLE = 0, 3  # severities: the file itself; the one at which claims are judged
_FAR = 16 / 255
_TOP = 5
_FEWEST = 10  # fooled images, for a meaningful destruction rate


@dataclass(frozen=True)
class Photographs:
    """The rows of the study.

    Args:
        rows: of all cells.
    """

    rows: pl.DataFrame

    def of(self, method: str | None, eps: float | None, shot: int) -> pl.DataFrame:
        """Return the rows of one method (None: clean images) at a severity, by index."""
        kind = "clean" if method is None else "attack"
        part = self.rows.filter((pl.col("kind") == kind) & (pl.col("shot") == shot))
        if method is not None:
            if "method" not in part.columns:
                return part.clear()
            near = (pl.col("eps") - eps).abs() < 1e-9
            part = part.filter((pl.col("method") == method) & near)
        return part.sort("index")

    def eps(self) -> list[float]:
        """Return the radii that were run, rising."""
        if "eps" not in self.rows.columns:
            return []
        return sorted(self.rows["eps"].drop_nulls().unique().to_list())

    def error(self, method: str | None, eps: float | None, shot: int, k: int) -> Estimate | None:
        """Return the share of all images whose label is not among the first k."""
        part = self.of(method, eps, shot)
        if not len(part):
            return None
        return over_seeds([float((part["label_rank"] > k).sum()) / len(part)], len(part))

    def destroyed(self, method: str, eps: float, shot: int) -> tuple[int, int]:
        """Count the adversarial images that the photograph makes harmless, and those there are.

        An image counts where it is right when clean and its adversarial file is wrong.
        """
        files, photographs = self.of(method, eps, FILE), self.of(method, eps, shot)
        clean = self.of(None, None, FILE).select("index", clean_rank="label_rank")
        joined = files.select("index", file_rank="label_rank").join(clean, on="index")
        joined = joined.join(photographs.select("index", "label_rank"), on="index")
        fooled = joined.filter((pl.col("clean_rank") == 1) & (pl.col("file_rank") > 1))
        return int((fooled["label_rank"] == 1).sum()), len(fooled)

    def destruction(self, method: str, eps: float, shot: int) -> Estimate | None:
        """Return the destruction rate; None where fewer than ten images are fooled."""
        undone, fooled = self.destroyed(method, eps, shot)
        return over_seeds([undone / fooled], fooled) if fooled >= _FEWEST else None


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:  # noqa: ARG001 - the signature of a study
    """Return the content of the page.

    Args:
        rows: of all cells.
        options: of the study.
        data: facts about the images.
    """
    if not len(rows) or "attack" not in rows["kind"].to_list():
        return write_story(NOTES, {"fast": None}, {}, complete(NAME, []))
    photographs = Photographs(rows)
    model = str(rows["model"][0])
    differs = (f"measured on {model} and {data.name}", "an imitated print and photograph, no paper")
    verdicts = [_judge(claim, photographs, differs) for claim in load_claims(NAME)]
    return write_story(
        NOTES, _answer(photographs, model), _blocks(photographs), complete(NAME, verdicts)
    )


def _answer(photographs: Photographs, model: str) -> Mapping[str, Any]:
    fast, iterative = (
        photographs.destruction(method, _FAR, MIDDLE) for method in ("fast", "iterative")
    )
    if fast is None or iterative is None:
        return {"fast": None}
    return {"fast": fast.value, "iterative": iterative.value, "model": model}


def _judge(claim: Claim, photographs: Photographs, differs: tuple[str, ...]) -> Verdict:
    if claim.kind == "value":
        k = _TOP if claim.id.endswith("top5") else 1
        estimate = photographs.error("fast", _FAR, MIDDLE, k)
        if estimate is None:
            return not_run(claim, NOTES.text("reason-missing"))
        clean = photographs.error(None, None, MIDDLE, k)
        error = None if clean is None else clean.value
        note = NOTES.text("reason-error", severity=MIDDLE, clean=error)
        return judge_value(claim, estimate, differs=differs, note=note)
    return _survival(claim, photographs, differs)


def _survival(claim: Claim, photographs: Photographs, differs: tuple[str, ...]) -> Verdict:
    """Compare destruction rates at every eps and severity; the largest eps decides."""
    pairs = []
    for eps in photographs.eps():
        for shot in range(1, 6):
            fast = photographs.destroyed("fast", eps, shot)
            for other in ("iterative", "least-likely"):
                slow = photographs.destroyed(other, eps, shot)
                if min(fast[1], slow[1]) >= _FEWEST:
                    gap = difference(
                        [slow[0] / slow[1]], [fast[0] / fast[1]], min(fast[1], slow[1])
                    )
                    pairs.append((eps, shot, other, gap))
    decisive = [pair for pair in pairs if pair[0] == max(p[0] for p in pairs)]
    if not decisive:
        return not_run(claim, NOTES.text("reason-few"))
    eps, shot, other, least = min(decisive, key=lambda pair: pair[3].value)
    right, anywhere = (sum(pair[3].value > 0 for pair in some) for some in (decisive, pairs))
    note = NOTES.text(
        "reason-survival",
        eps=eps_text(eps),
        right=right,
        count=len(decisive),
        anywhere=anywhere,
        all=len(pairs),
        least=f"{least.value:+.3f}",
        other=other,
        severity=shot,
    )
    return judge_finding(claim, least, holds=right == len(decisive), note=note, differs=differs)


def _blocks(photographs: Photographs) -> dict[str, list[Block]]:
    return {
        "destruction": [_destruction_table(photographs), _destruction_figure(photographs)],
        "errors": [_error_table(photographs, 1), _error_table(photographs, _TOP)],
    }


def _destruction_table(photographs: Photographs) -> TableBlock:
    rows: list[list[CellText]] = []
    for method in METHODS:
        for eps in photographs.eps():
            fooled = photographs.destroyed(method, eps, 1)[1]
            if not len(photographs.of(method, eps, FILE)):
                continue
            cells = [share_text(photographs.destruction(method, eps, shot)) for shot in range(1, 6)]
            rows.append([method, eps_text(eps), f"{fooled:,}", *cells])
    heads = "method|#eps|#fooled files|" + "|".join(f"#severity {s}" for s in range(1, 6))
    return NOTES.table("destruction", heads, rows)


def _error_table(photographs: Photographs, k: int) -> TableBlock:
    rows: list[list[CellText]] = [
        ["clean", "0", *(share_text(photographs.error(None, None, shot, k)) for shot in range(6))]
    ]
    for method in METHODS:
        for eps in photographs.eps():
            if len(photographs.of(method, eps, FILE)):
                cells = [share_text(photographs.error(method, eps, shot, k)) for shot in range(6)]
                rows.append([method, eps_text(eps), *cells])
    heads = "method|#eps|#file|" + "|".join(f"#severity {s}" for s in range(1, 6))
    return NOTES.table("errors", heads, rows, folded=k > 1, k=k)


def _destruction_figure(photographs: Photographs) -> PlotBlock:
    points = [
        plot_point(one, shot, series=method, panel=f"eps {eps_text(eps)}")
        for eps in photographs.eps()
        for method in METHODS
        for shot in range(1, 6)
        if (one := photographs.destruction(method, eps, shot)) is not None
    ]
    return NOTES.figure("destruction", "severity of the camera", "destruction rate", points)
