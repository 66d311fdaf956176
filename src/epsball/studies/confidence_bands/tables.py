"""The tables of study `confidence-bands`. Imports no torch."""

import polars as pl

from epsball.evaluation.metrics.present import eps_text, interval, percent
from epsball.kinds.goals import GOALS, goal_rates
from epsball.kinds.labelling import KINDS
from epsball.studies.claims.estimates import Estimate, over_seeds
from epsball.studies.claims.story import CellText, TableBlock
from epsball.studies.claims.table import load_claims
from epsball.studies.confidence_bands.bands import Band
from epsball.studies.confidence_bands.claims import BANDS, METHODS, NAME, NOTES, STEPS, reached_at
from epsball.studies.confidence_bands.measure import Bands, Setting
from epsball.studies.confidence_bands.statistics import logistic

REFERENCES = {
    "least_likely": "least likely",
    "predicted": "inverse",
    "least_likely_top5": "least likely of the top five",
}


def band_table(bands: Bands) -> TableBlock:
    """Say how many images fall in each band, and how often they are right when clean."""
    rows = []
    for band in reversed(bands.bands):
        inside = bands.clean[bands.positions(band)]
        first = over_seeds([float((inside["label_rank"] == 1).mean())], len(inside))  # type: ignore[arg-type]  # polars' mean of booleans
        top = over_seeds([float((inside["label_rank"] <= bands.k).mean())], len(inside))  # type: ignore[arg-type]
        rows.append(
            [
                band.name,
                f"{band.low:.2f} to {band.high:.2f}",
                f"{len(inside):,}",
                _share(first),
                _share(top),
            ]
        )
    heads = f"band|clean top-1 probability|#images|#top-1 right|#top-{bands.k} right"
    return NOTES.table("bands", heads, rows)


def source_table(bands: Bands, eps: dict[str, float], *, all_images: bool) -> TableBlock:
    """Lay our numbers out like the source's table."""
    stated = {
        (c.setting["method"], c.setting["band"], c.setting["steps"], c.setting["k"]): c.value
        for c in load_claims(NAME)
        if "band" in c.setting
    }
    rows: list[list[CellText]] = []
    for method, reference in METHODS.items():
        for band in reversed(bands.bands):
            row: list[CellText] = [method, band.name]
            for steps in STEPS:
                for k, of_source in ((bands.k, 5), (1, 1)):
                    one = None
                    if steps in eps:
                        setting = Setting(steps, reference, eps[steps])
                        one = bands.error(setting, band, k, all_images=all_images)
                    value = stated.get((method, band.name, steps, of_source))
                    row.append(_with_source(one, None if all_images else value))
            rows.append(row)
    which = ", ".join(f"{steps} at eps {eps_text(eps[steps])}" for steps in STEPS if steps in eps)
    heads = "method|band|" + "|".join(f"#{s} top-{k}" for s in STEPS for k in (bands.k, 1))
    return NOTES.table("source", heads, rows, folded=all_images, all_images=all_images, which=which)


def eps_table(bands: Bands) -> TableBlock:
    """Say for each number of the source at which eps our model has it."""
    claims = [c for c in load_claims(NAME) if "band" in c.setting]
    rows: list[list[CellText]] = []
    for method in METHODS:
        for band in BANDS:
            claims_here = [
                c for c in claims if c.setting["method"] == method and c.setting["band"] == band
            ]
            rows.append(
                [
                    method,
                    band,
                    *(
                        (percent(c.value or 0.0, digits=0), reached_at(c, bands))
                        for c in claims_here
                    ),
                ]
            )
    heads = "method|band|#iterative top-5|#iterative top-1|#fast top-5|#fast top-1"
    return NOTES.table("eps", heads, rows, folded=True)


def kind_table(bands: Bands, eps: dict[str, float]) -> TableBlock:
    """Give the share of each kind among the fooled images, by band and method."""
    rows: list[list[CellText]] = []
    for steps, radius in eps.items():
        for reference, words in REFERENCES.items():
            for band in (None, *reversed(bands.bands)):
                kinds = bands.rows(Setting(steps, reference, radius), band)["kind"]
                fooled = int((kinds != KINDS[0]).sum())
                if not len(kinds):
                    continue
                counts = [int((kinds == kind).sum()) for kind in KINDS[1:]]
                shares = [_part(count, fooled) for count in counts]
                rows.append([words, steps, _band(band), f"{fooled:,} of {len(kinds):,}", *shares])
    heads = "method|steps|band|#fooled|" + "|".join(f"#{kind}" for kind in KINDS[1:])
    return NOTES.table("kinds", heads, rows)


def goal_table(bands: Bands, eps: dict[str, float], classes: int) -> TableBlock:
    """Measure the goals of an attacker on the same records."""
    rows: list[list[CellText]] = []
    for steps, radius in eps.items():
        for reference, words in REFERENCES.items():
            records = bands.rows(Setting(steps, reference, radius))
            if not len(records):
                continue
            if reference == "predicted":  # this one moves away from a class, towards none
                records = records.drop("target")
            rates = goal_rates(records, classes)
            cells: list[CellText] = [
                (f"{percent(r.rate)}", f"{r.reached:,} of {r.of:,}") if r.rate is not None else "-"
                for r in rates
            ]
            rows.append([words, steps, *cells])
    heads = "method|steps|" + "|".join(f"#{goal}" for goal in GOALS)
    return NOTES.table("goals", heads, rows)


def fit_table(bands: Bands, eps: dict[str, float]) -> TableBlock:
    """Give the slope of the logistic fits."""
    rows: list[list[CellText]] = []
    for steps, radius in eps.items():
        for reference, words in REFERENCES.items():
            right = bands.rows(Setting(steps, reference, radius)).filter(
                pl.col("clean_label_rank") == 1
            )
            if not len(right):
                continue
            fit = logistic(
                right["clean_confidence"].to_numpy(), (right["label_rank"] > 1).to_numpy()
            )
            if fit is None:
                rows.append([words, steps, "no fit: all or none are fooled", "-"])
                continue
            half = 1.96 * fit.slope_error
            slope = (f"{fit.slope:.2f}", f"{fit.slope - half:.2f} to {fit.slope + half:.2f}")
            rows.append([words, steps, slope, f"{fit.images:,}"])
    heads = "method|steps|#change of the log-odds of being fooled from confidence 0 to 1|#images"
    return NOTES.table("fit", heads, rows)


def variant_table(rest: pl.DataFrame) -> TableBlock:
    """Compare scales and numbers of steps on the part of the images that they were run on."""
    by = ["method", "reference", "scale", "steps", "radius"]
    first = rest.sort(by)["radius"].min() if len(rest) else None
    rows: list[list[CellText]] = []
    right = rest.filter(pl.col("clean_label_rank") == 1)
    for key, part in right.sort(by).partition_by(by, as_dict=True, maintain_order=True).items():
        method, reference, scale, steps, radius = key
        if method == "fast" and radius != _middle(rest, first):
            continue
        error = over_seeds([float((part["label_rank"] > 1).mean())], len(part))  # type: ignore[arg-type]
        still = float((~part["moved"]).mean())  # type: ignore[arg-type]
        rows.append(
            [
                str(method),
                REFERENCES[str(reference)],
                str(scale),
                str(steps),
                eps_text(radius),
                _share(error),
                percent(still),
            ]
        )
    heads = "method|reference|scale|#steps|#eps|#top-1 error|#no gradient"
    return NOTES.table("variants", heads, rows)


def black_table(rows: pl.DataFrame) -> TableBlock:
    """List the most likely classes of the black image, and of the same with steps added."""
    black = rows.filter(pl.col("kind") == "black")
    lines: list[list[CellText]] = []
    if len(black):
        for (radius,), part in (
            black.sort("radius", "rank")
            .partition_by("radius", as_dict=True, maintain_order=True)
            .items()
        ):
            top = [
                f"{r['prediction_name']} {percent(r['confidence'])}"
                for r in part.iter_rows(named=True)
            ]
            named = "black" if radius == 0 else f"+ {255 * radius:.3g} grey levels"
            lines.append([named, percent(part["first_confidence"][0]), ", ".join(top)])
    return NOTES.table("black", "image|#its first label|five most likely", lines)


def _middle(rest: pl.DataFrame, first: object) -> object:
    """Return the eps at which the iterative attacks were run on a part of the images."""
    slow = rest.filter(pl.col("method") == "iterative")["radius"]
    return slow[0] if len(slow) else first


def _share(estimate: Estimate) -> CellText:
    return percent(estimate.value), interval(estimate.interval)


def _with_source(one: Estimate | None, stated: float | None) -> CellText:
    if one is None:
        return "-"
    notes = (interval(one.interval), *([f"source {percent(stated, digits=0)}"] if stated else []))
    return percent(one.value), *notes


def _part(count: int, of: int) -> CellText:
    return (percent(count / of), f"{count:,}") if of else "-"


def _band(band: Band | None) -> str:
    return "all" if band is None else band.name
