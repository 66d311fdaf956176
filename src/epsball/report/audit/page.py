"""The report: one page about one run."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from epsball.files import write_bytes
from epsball.report.audit.classes import class_figure
from epsball.report.audit.confusion import confusion_figure
from epsball.report.audit.cost import cost_figure, phases_table
from epsball.report.audit.curve import curve_figure
from epsball.report.audit.first import files, first_screen, helping
from epsball.report.audit.rejection import rejection_tables
from epsball.report.audit.results import (
    beside_table,
    compact_tables,
    destruction_table,
    distance_table,
    full_table,
    survival_table,
)
from epsball.report.audit.run import Run, load_run
from epsball.report.audit.saliency import saliency_strips
from epsball.report.audit.sizes import size_figure
from epsball.report.audit.targets import reached_table, source_table
from epsball.report.comparison.duels import duel_figure
from epsball.report.drawing.document import render
from epsball.report.drawing.figure import Figure, write_figures
from epsball.report.drawing.numbers import count, distance, listing
from epsball.report.drawing.strips import image_strips

NAME = "report.html"


def write_report(run: Path, *, figures: bool = False) -> Path:
    """Turn a finished run into one self-contained page.

    Args:
        run: the run's directory: manifest.json, summary.json, records/ and, if kept, images/.
        figures: whether to write every figure as SVG, PNG and PDF into `figures/` as well.

    Returns:
        The page, `run / "report.html"`; the same run always gives the same bytes.

    Raises:
        InvalidInput: the directory holds no finished run, or cannot be written.
    """
    seen = load_run(run)
    drawn = {
        "curve": _each_norm(seen, curve_figure),
        "classes": _each_norm(seen, class_figure),
        "confusion": _each_norm(seen, confusion_figure),
        "sizes": _present([size_figure(seen)]),
        "cost": _present([cost_figure(seen)]),
        "duels": _present([duel_figure(seen)]),
    }
    every = [figure for group in drawn.values() for figure in group]
    page = render(
        "report.html",
        every,
        run=seen,
        drawings=drawn,
        compact=compact_tables(seen),
        full=full_table(seen),
        survival=survival_table(seen),
        destruction=destruction_table(seen),
        beside=beside_table(seen),
        distances=distance_table(seen),
        first=first_screen(seen),
        helps=helping(seen),
        files=files(seen),
        reached=reached_table(seen),
        sources=None if seen.blocked else source_table(seen),
        rejecting=rejection_tables(seen),
        strips=image_strips(seen),
        phases=phases_table(seen),
        explained=saliency_strips(seen),
        facts=facts(seen),
    )
    if figures:
        write_figures(every, run / "figures")
    return write_bytes(run / NAME, page)


def facts(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """List what a person needs to do the run again, group by group.

    Args:
        run: the run.

    Returns:
        (group, [(name, value)]) in reading order; what the manifest does not say is left out.
    """
    manifest = run.manifest
    general = {
        "created": manifest.get("created"),
        "budget": manifest.get("budget"),
        "seed": manifest.get("seed"),
    }
    data = {k: v for k, v in manifest.get("data", {}).items() if k != "class_names"}
    attacks = {entry["variant"]: _budget(entry) for entry in manifest.get("attacks", [])}
    groups = {
        "Run": general,
        "Model": manifest.get("model", {}),
        "Data": data,
        "Attacks": attacks,
        "Engine": manifest.get("engine", {}),
        "Versions": manifest.get("versions", {}),
        "Machine": manifest.get("hardware", {}),
    }
    return [(name, _pairs(values)) for name, values in groups.items() if values]


def _budget(attack: dict[str, Any]) -> str:
    """One attack as it was asked for: norm, every eps, and the knobs that were turned."""
    knobs = {"restarts": attack["restarts"]} | attack["knobs"]
    turned = [_turned(name.replace("_", " "), value) for name, value in knobs.items()]
    budgets = listing([distance(eps) for eps in attack["eps"]])
    return ", ".join([f"{attack['norm']} {budgets}", *filter(None, turned)])


def _turned(name: str, value: Any) -> str:  # noqa: ANN401 - whatever a knob may be
    if value is None:
        return ""
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {value}"


def _pairs(values: dict[str, Any]) -> list[tuple[str, str]]:
    known = ((name, value) for name, value in values.items() if value is not None)
    return [(name.replace("_", " "), _words(name, value)) for name, value in known]


def _words(name: str, value: Any) -> str:  # noqa: ANN401 - whatever a manifest holds
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in ("parameters", "n", "total"):  # only counts: a seed must be copied as it is
        return count(value)
    return value if isinstance(value, str) else json.dumps(value)


def _each_norm(run: Run, build: Callable[[Run, str], Figure | None]) -> list[Figure]:
    return _present([build(run, norm) for norm in run.norms])


def _present(figures: Sequence[Figure | None]) -> list[Figure]:
    return [figure for figure in figures if figure is not None]
