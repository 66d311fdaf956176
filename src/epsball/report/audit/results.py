"""The tables of results: compact under the answer, complete behind it, and as image files."""

from typing import Any

from epsball.evaluation.metrics.present import rejection_note
from epsball.report.audit.run import Run
from epsball.report.drawing.numbers import MISSING, count, distance, interval, note, percent, size
from epsball.report.drawing.table import Cell, Row, Table, bar, table

_SHARES = (
    "confidence",
    "confidence_correct",
    "confidence_wrong",
    "top1_error",
    "top1_error_all",
    "top5_error",
    "top5_error_all",
)
_FORMS = {
    "survives_8bit": "8 bits",
    "survives_png": "PNG",
    "survives_jpeg90": "JPEG 90",
    "survives_jpeg75": "JPEG 75",
}


def compact_tables(run: Run) -> list[Table]:
    """Lay out one table a norm: a row an attack, a column an eps, accuracy and interval inside."""
    return [_compact(run, norm) for norm in run.norms]


def _compact(run: Run, norm: str) -> Table:
    results = [r for r in run.results if r["norm"] == norm]
    budgets = sorted({r["eps"] for r in results})
    at = {(r["variant"], r["eps"]): r for r in results}
    clean = run.summary.get("clean") or {}
    rows: list[Row] = [
        [variant, *(_robust(at.get((variant, eps))) for eps in budgets)]
        for variant in run.variants(norm)
    ]
    worst = {w["eps"]: w for w in run.summary.get("worst_case") or [] if w["norm"] == norm}
    if worst and len(run.variants(norm)) > 1:
        rows.append(["worst case", *(_robust(worst.get(eps)) for eps in budgets)])
    heads = "".join(f"|#eps {distance(eps)}" for eps in budgets)
    where = f" in {norm}" if len(run.norms) > 1 else ""
    untouched = f"{percent(clean.get('accuracy'))} ({interval(clean.get('accuracy_ci'))})"
    caption = f"Accuracy under attack{where}, with 95 % intervals. Without attack: {untouched}"
    if run.rejects:
        caption += f". {rejection_note(clean.get('rejected'))}"
    return table(caption, f"attack{heads}", rows)


def full_table(run: Run) -> Table:
    """List everything measured of every setting."""
    heads = (
        "attack|norm|#eps|#steps|#restarts|objective|#images|#clean|#robust|#95 % interval"
        "|#confidence|#when right|#when wrong|#top-1 error|#of all|#top-5 error|#of all"
    )
    rows = [
        [
            str(r["variant"]),
            str(r["norm"]),
            distance(r["eps"]),
            count(r.get("steps")),
            count(r.get("restarts")),
            str(r.get("objective") or MISSING),
            count(r["n"]),
            percent(r["clean_accuracy"]),
            percent(r["robust_accuracy"]),
            interval(r["robust_accuracy_ci"]),
            *(percent(r.get(field)) for field in _SHARES),
        ]
        for r in run.results
    ]
    if run.rejects:
        heads += "|#rejected|#of the accepted"
        for row, result in zip(rows, run.results, strict=True):
            row += [percent(result.get(name)) for name in ("rejected", "accepted_accuracy")]
    caption = (
        "Every setting, everything measured. Top-1 error counts, of the images that were right "
        "when untouched, those that were lost; top-5 error likewise; beside them, of all images"
    )
    return table(caption, heads, rows)


def beside_table(run: Run) -> Table | None:
    """List the attacks that search no ball; None where there were none."""
    if not run.beside:
        return None
    rows: list[Row] = [
        [str(r["variant"]), count(r["n"]), percent(r["clean_accuracy"]), _robust(r)]
        for r in run.beside
    ]
    caption = "Other threats, which no eps measures; they are not part of the worst case"
    return table(caption, "attack|#images|#clean|#accuracy under attack", rows)


def distance_table(run: Run) -> Table | None:
    """List median distances to the border; None where no attack looked for it."""
    minimal = {r["variant"]: r for r in run.results if r.get("median_distance") is not None}
    if not minimal:
        return None
    rows: list[Row] = [[n, str(r["norm"]), size(r["median_distance"])] for n, r in minimal.items()]
    caption = "How far the nearest fooled image is: median over images right when clean"
    return table(caption, "attack|norm|#median distance", rows)


def survival_table(run: Run) -> Table | None:
    """Say how many fooled images still fool once they are stored; None where not measured."""
    measured = [r for r in run.results if any(r.get(form) is not None for form in _FORMS)]
    if not measured:
        return None
    heads = "|".join(["attack", "norm", "#eps", *(f"#{name}" for name in _FORMS.values())])
    rows: list[Row] = [
        [
            str(r["variant"]),
            str(r["norm"]),
            distance(r["eps"]),
            *(bar(r.get(form)) for form in _FORMS),
        ]
        for r in measured
    ]
    return table("Share of the fooled images that still fool when stored", heads, rows)


def destruction_table(run: Run) -> Table | None:
    """Say how many fooled images a transformation makes harmless; None where not measured."""
    measured = [r for r in run.results if r.get("destruction_rate") is not None]
    if not measured:
        return None
    rows: list[Row] = [
        [
            str(r["variant"]),
            str(r["norm"]),
            distance(r["eps"]),
            Cell(percent(r["clean_through"]), note=note(r["clean_through_ci"])),
            Cell(percent(r["destruction_rate"]), note=note(r["destruction_rate_ci"])),
        ]
        for r in measured
    ]
    name = run.manifest["engine"]["through"]
    return table(f"Through {name}", "attack|norm|#eps|#clean accuracy|#destroyed", rows)


def _robust(result: dict[str, Any] | None) -> Cell:
    if result is None:
        return Cell("")
    accuracy = result.get("robust_accuracy")
    return Cell(percent(accuracy), note=note(result.get("robust_accuracy_ci")))
