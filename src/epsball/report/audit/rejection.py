"""The tables of a model that rejects: how often it does, and what that is worth."""

from typing import Any

from epsball.report.audit.run import Run
from epsball.report.drawing.numbers import MISSING, distance, note, percent
from epsball.report.drawing.table import Cell, Row, Table, table


def rejection_tables(run: Run) -> list[Table]:
    """Lay out what is rejected; nothing for a model that does not reject."""
    if not run.rejects:
        return []
    return [_rates(run), *_thresholds(run)]


def _rates(run: Run) -> Table:
    clean = run.summary.get("clean") or {}
    rows: list[Row] = [
        [
            "none",
            "",
            "",
            _share(clean, "accuracy"),
            _share(clean, "rejected"),
            _share(clean, "accepted_accuracy"),
        ]
    ]
    rows += [
        [
            str(r["variant"]),
            str(r["norm"]),
            distance(r["eps"]),
            _share(r, "robust_accuracy"),
            _share(r, "rejected"),
            _share(r, "accepted_accuracy"),
        ]
        for r in run.results
    ]
    caption = (
        "What is rejected, with 95 % intervals. An attacked image that is rejected counts as "
        "right, an untouched one does not"
    )
    return table(caption, "attack|norm|#eps|#right|#rejected|#right of the accepted", rows)


def _thresholds(run: Run) -> list[Table]:
    """List the area under the ROC curve, and rates at the usual thresholds, where measured."""
    entries: list[dict[str, Any]] = run.summary.get("rejection") or []
    shares = [at["false_rejection"] for at in entries[0]["at"]] if entries else []
    if not shares:
        return []
    rows: list[Row] = [
        [
            entry["variant"],
            entry["norm"],
            distance(entry["eps"]),
            _area(entry, "auroc"),
            _area(entry, "clean_area"),
            _area(entry, "area"),
            *(_share(at, key) for at in entry["at"] for key in ("safe", "accepted_accuracy")),
        ]
        for entry in entries
    ]
    heads = "attack|norm|#eps|#AUROC|#risk untouched|#risk attacked" + "".join(
        f"|#safe at {percent(share, digits=0)}|#of the accepted" for share in shares
    )
    caption = (
        "Attacked against untouched, by how much the best class lies above the reject score: area "
        "under the ROC curve, mean error over all coverages, and, at thresholds that reject so "
        "many of the untouched images of the right class, the share right or rejected. The "
        "attacks did not know these thresholds"
    )
    return [table(caption, heads, rows)]


def _share(entry: dict[str, Any], name: str) -> Cell:
    return Cell(percent(entry.get(name)), note=note(entry.get(f"{name}_ci")))


def _area(entry: dict[str, Any], name: str) -> Cell:
    value, bounds = entry.get(name), entry.get(f"{name}_ci")
    below = "" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
    return Cell(MISSING if value is None else f"{value:.3f}", note=below)
