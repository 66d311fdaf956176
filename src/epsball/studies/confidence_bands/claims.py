"""What came out for each claim of the slides. Imports no torch."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

import polars as pl

from epsball.studies.claims.estimates import Estimate, difference, over_seeds
from epsball.studies.claims.table import (
    Claim,
    Verdict,
    complete,
    judge_finding,
    judge_value,
    load_claims,
    not_run,
)
from epsball.studies.confidence_bands.bands import SOURCE
from epsball.studies.confidence_bands.measure import Bands, Setting
from epsball.studies.core.notes import read_notes

NAME = "confidence-bands"
NOTES = read_notes("epsball.studies.confidence_bands")
METHODS = {"least-likely": "least_likely", "inverse": "predicted"}
STEPS = ("iterative", "fast")
BANDS = ("high", "medium", "low")
_MODEL, _IMAGES = "inception_v3", 1500
Gap = tuple[Estimate, str]


def judge(
    by_band: Bands, rows: pl.DataFrame, eps: dict[str, float], differs: Sequence[str]
) -> list[Verdict]:
    """Judge every claim.

    Args:
        by_band: the rows.
        rows: of all cells, for the black image.
        eps: of each method ("fast", "iterative") at which its numbers are nearest to the source's.
        differs: what is not as in the source.

    Returns:
        A verdict for each claim of the source, in the order of the list.
    """
    return complete(NAME, [_one(c, by_band, rows, eps, differs) for c in load_claims(NAME)])


def differences(
    model: str, data: str, images: int, bands: str, *, per_band: int = 0
) -> tuple[str, ...]:
    """Name the departures from the source; parameters it leaves unstated are not counted."""
    listed = []
    if _MODEL not in model:
        listed.append(f"measured on {model}, not on Inception v3")
    if data != "imagenet-sample" and not data.startswith("folder"):
        listed.append(f"on {data}, not on ImageNet")
    if images != _IMAGES or per_band != _IMAGES // len(BANDS):
        listed.append(f"on {images:,} images in all, not on 500 in each band")
    if bands != SOURCE:
        listed.append(f"bands {bands}, not {SOURCE}")
    return tuple(listed)


def nearest_eps(by_band: Bands) -> dict[str, float]:
    """Return for each method the eps at which its numbers are nearest to the source's table."""
    chosen = {}
    for method in STEPS:
        claims = [c for c in load_claims(NAME) if c.setting.get("steps") == method]
        loss = {}
        for eps in by_band.eps(Setting(method, "predicted", 0.0)):
            pairs = [(measured(c, by_band, eps), c.value) for c in claims]
            known = [abs(e.value - v) for e, v in pairs if e is not None and v is not None]
            if known:
                loss[eps] = fmean(known)
        if loss:
            chosen[method] = min(loss, key=lambda eps: loss[eps])
    return chosen


def measured(claim: Claim, by_band: Bands, eps: float) -> Estimate | None:
    """Return what was measured for a number of the table at an eps; None where nothing was."""
    setting = Setting(claim.setting["steps"], METHODS[claim.setting["method"]], eps)
    band = next((b for b in by_band.bands if b.name == claim.setting["band"]), None)
    if band is None:
        return None
    return by_band.error(setting, band, by_band.k if claim.setting["k"] > 1 else 1)


def reached_at(claim: Claim, by_band: Bands) -> str:
    """Say at which eps our curve has the source's number, between the eps that were run."""
    method = claim.setting["steps"]
    points = []
    for eps in by_band.eps(Setting(method, METHODS[claim.setting["method"]], 0.0)):
        one = measured(claim, by_band, eps)
        if one is not None:
            points.append((eps, one.value))
    value = float(claim.value or 0.0)
    for (low, before), (high, after) in pairwise(points):
        if min(before, after) <= value <= max(before, after) and before != after:
            eps = low + (value - before) / (after - before) * (high - low)
            return f"reached at eps {255 * eps:.2g}/255"
    if not points:
        return "not run"
    side = "below" if value < points[0][1] else "above"
    edge = points[0][0] if side == "below" else points[-1][0]
    return f"{side} what eps {255 * edge:.2g}/255 gives"


def _one(
    claim: Claim,
    by_band: Bands,
    rows: pl.DataFrame,
    eps: dict[str, float],
    differs: Sequence[str],
) -> Verdict:
    if claim.id.startswith("bands.black"):
        return _black(claim, rows, differs)
    if claim.kind == "value":
        method = claim.setting["steps"]
        estimate = measured(claim, by_band, eps[method]) if method in eps else None
        if estimate is None:
            return not_run(claim, "the setting was not run")
        where = reached_at(claim, by_band)
        note = f"at eps {255 * eps[method]:.3g}/255; the source's number is {where}"
        return judge_value(claim, estimate, differs=differs, note=note)
    return _ordering(claim, by_band, eps, differs)


def _black(claim: Claim, rows: pl.DataFrame, differs: Sequence[str]) -> Verdict:
    """The step is not stated: the first of those that were taken, 0.9 grey levels, is judged."""
    black = rows.filter(pl.col("kind") == "black")
    if not len(black):
        return not_run(claim, "the black image was not shown to the model")
    black = black.filter(pl.col("rank") == 1).sort("radius")
    row = 0 if claim.id.endswith("before") else 1
    value = float(black["first_confidence"][row])
    label = black["prediction_name"][0]
    ours = Estimate(value, value, value, 1, "images")
    return judge_value(claim, ours, differs=differs, note=f"the first label here is {label!r}")


def _ordering(
    claim: Claim, by_band: Bands, eps: dict[str, float], differs: Sequence[str]
) -> Verdict:
    gaps = _GAPS[claim.id](by_band, eps)
    if not gaps:
        return not_run(claim, "the settings that it compares were not all run")
    least, where = min(gaps, key=lambda one: one[0].value)
    right = sum(gap.value > 0 for gap, _ in gaps)
    # the source has one exception of its own
    allowed = 1 if claim.id == "bands.inverse-over-least-likely" else 0
    holds = right >= len(gaps) - allowed
    count = f"{right} of {len(gaps)} comparisons hold"
    note = f"{count}; the least difference is {least.value:+.3f}: {where}{_by_eps(claim, by_band)}"
    return judge_finding(claim, least, holds=holds, note=note, differs=differs)


def _by_eps(claim: Claim, by_band: Bands) -> str:
    """Say how many comparisons hold where both methods have the same eps, at each that was run."""
    both = (set(by_band.eps(Setting(steps, "predicted", 0.0))) for steps in STEPS)
    counts = []
    for eps in sorted(set.intersection(*both)):
        gaps = _GAPS[claim.id](by_band, dict.fromkeys(STEPS, eps))
        right = sum(gap.value > 0 for gap, _ in gaps)
        counts.append(f"{right} of {len(gaps)} at {255 * eps:.3g}/255")
    return f"; with one eps for both methods: {', '.join(counts)}" if counts else ""


def _cell(
    by_band: Bands, eps: dict[str, float], steps: str, method: str, *, band: str, k: int
) -> tuple[float, int] | None:
    """Return a cell of the source's table, and on how many images it was measured."""
    one = next((b for b in by_band.bands if b.name == band), None)
    if one is None or steps not in eps:
        return None
    setting = Setting(steps, METHODS[method], eps[steps])
    estimate = by_band.error(setting, one, k)
    rows = by_band.rows(setting, one)
    return (estimate.value, len(rows)) if estimate is not None else None


def _gap(more: tuple[float, int] | None, less: tuple[float, int] | None, where: str) -> list[Gap]:
    if more is None or less is None:
        return []
    return [(difference([more[0]], [less[0]], min(more[1], less[1])), where)]


def _iterative_over_fast(by_band: Bands, eps: dict[str, float]) -> list[Gap]:
    """Both at the same eps: the fast method's."""
    same = dict.fromkeys(STEPS, eps.get("fast", 0.0))
    return [
        gap
        for method in METHODS
        for band in BANDS
        for k in (1, by_band.k)
        for gap in _gap(
            _cell(by_band, same, "iterative", method, band=band, k=k),
            _cell(by_band, same, "fast", method, band=band, k=k),
            f"{method}, {band}, top-{k}",
        )
    ]


def _inverse_over_least_likely(by_band: Bands, eps: dict[str, float]) -> list[Gap]:
    return [
        gap
        for steps in STEPS
        for band in BANDS
        for k in (1, by_band.k)
        for gap in _gap(
            _cell(by_band, eps, steps, "inverse", band=band, k=k),
            _cell(by_band, eps, steps, "least-likely", band=band, k=k),
            f"{steps}, {band}, top-{k}",
        )
    ]


def _wider_for_least_likely(by_band: Bands, eps: dict[str, float]) -> list[Gap]:
    same = dict.fromkeys(STEPS, eps.get("fast", 0.0))
    gaps = []
    for band in BANDS:
        for k in (1, by_band.k):
            cells = [
                _cell(by_band, same, steps, method, band=band, k=k)
                for method in METHODS
                for steps in STEPS
            ]
            known = [cell for cell in cells if cell is not None]
            if len(known) < len(cells):
                continue
            slow, fast, other_slow, other_fast = known
            wider = abs(slow[0] - fast[0]) - abs(other_slow[0] - other_fast[0])
            margin = 2 * (0.25 / slow[1]) ** 0.5 * 1.96  # four shares, the widest they can be
            kind = over_seeds([0.5], slow[1]).kind
            estimate = Estimate(wider, wider - margin, wider + margin, 1, kind)
            gaps.append((estimate, f"{band}, top-{k}"))
    return gaps


def _low_most_vulnerable(by_band: Bands, eps: dict[str, float]) -> list[Gap]:
    return [
        gap
        for steps in STEPS
        for method in METHODS
        for less, more in (("high", "medium"), ("medium", "low"))
        for k in (1, by_band.k)
        for gap in _gap(
            _cell(by_band, eps, steps, method, band=more, k=k),
            _cell(by_band, eps, steps, method, band=less, k=k),
            f"{steps}, {method}, {more} over {less}, top-{k}",
        )
    ]


_GAPS = {
    "bands.iterative-over-fast": _iterative_over_fast,
    "bands.inverse-over-least-likely": _inverse_over_least_likely,
    "bands.least-likely-variance": _wider_for_least_likely,
    "bands.low-most-vulnerable": _low_most_vulnerable,
}
