"""What came out for each claim of the thesis. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median

import numpy as np
from scipy.stats import spearmanr

from epsball.studies.claims.estimates import Estimate, over_seeds
from epsball.studies.claims.table import (
    Claim,
    Verdict,
    complete,
    load_claims,
    not_run,
)
from epsball.studies.class_imbalance.case import MISSING, NOTES, Case, relative_difference
from epsball.studies.class_imbalance.measured import Measured
from epsball.studies.class_imbalance.paired import Probes
from epsball.studies.class_imbalance.values import (
    balanced_accuracy,
    balanced_loss,
    cat_to_dog,
    dog_to_cat,
    mean_of,
    parameters,
)
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

NAME = "class-imbalance"
_NEARLY_ALL = 0.9  # of the classes: "nine of ten classes in the table"
_PAIRS = (("cat", "dog"), ("dog", "cat"), ("automobile", "truck"), ("truck", "automobile"))


def judge(
    measured: Measured, probes: Probes, data: DataSummary, options: Options, schedule: str
) -> list[Verdict]:
    """Judge every claim of the thesis; those without rows are "not run".

    Args:
        measured: the rows of the source's part.
        probes: what the deeper attacks say, image by image.
        data: the facts about the images.
        options: what was asked for.
        schedule: "fast" or "source".
    """
    differs: tuple[str, ...] = () if data.name == "cifar10" else (f"{data.name}, not CIFAR-10",)
    if options.train_limit is not None and options.train_limit < data.train:
        differs += (f"trained on {options.train_limit:,} of {data.train:,} images",)
    if options.epochs is not None:
        differs += (f"{options.epochs} epochs",)
    beside = ("one cycle of Adam, not RMSProp with early stopping",) if schedule == "fast" else ()
    case = Case(measured, probes, differs, beside)
    return complete(NAME, [_judge_one(claim, case) for claim in load_claims(NAME)])


def _judge_one(claim: Claim, case: Case) -> Verdict:
    name = claim.id.removeprefix("imbalance.")
    if "gradient" in claim.setting:
        kind, gradient = str(claim.setting["dataset"]), str(claim.setting["gradient"])
        label = claim.setting.get("class")
        if label is None:
            return case.value(claim, case.measured.mean(kind, gradient))
        if label not in case.measured.class_names:
            return not_run(claim, NOTES.text("no-such-class", label=label))
        return case.value(claim, case.measured.accuracy(kind, str(label), gradient))
    return _JUDGES[name](claim, case)


def _for_every_class(
    more: tuple[str, str], less: tuple[str, str], words: str, share: float = 1.0
) -> Callable[[Claim, Case], Verdict]:
    """Judge that in a share of the classes one setting keeps more than another."""

    def judged(claim: Claim, case: Case) -> Verdict:
        gaps = {name: case.measured.gap(more, less, name) for name in case.measured.class_names}
        known = {name: gap for name, gap in gaps.items() if gap is not None}
        if len(known) < len(gaps):
            return not_run(claim, f"{MISSING} ({len(known)} of {len(gaps)} classes)")
        ranked = sorted(known, key=lambda name: known[name].value)
        least = ranked[len(ranked) - int(np.ceil(share * len(ranked)))]
        above = sum(gap.value > 0 for gap in known.values())
        note = NOTES.text(
            "every-class", words=words, above=above, classes=len(known), least=ranked[0]
        )
        return case.finding(claim, known[least], holds=known[least].value > 0, note=note)

    return judged


def _least(
    case: Case, pairs: Sequence[tuple[tuple[str, str], tuple[str, str]]]
) -> tuple[Estimate, str, int] | None:
    """Return the smallest of several gaps over all classes, where, and how many are above 0."""
    gaps: list[tuple[Estimate, str]] = []
    for name in case.measured.class_names:
        for more, less in pairs:
            gap = case.measured.gap(more, less, name)
            if gap is None:
                return None
            gaps.append((gap, f"{name}, {more[0]}"))
    gap, where = min(gaps, key=lambda one: one[0].value)
    return gap, where, sum(one.value > 0 for one, _ in gaps)


def _transfer_weaker(claim: Claim, case: Case) -> Verdict:
    pairs = [((kind, "different"), (kind, "same")) for kind in ("under", "over")]
    return _all_above(claim, case, pairs, "the balanced model's gradient leaves more")


def _clean_shift(claim: Claim, case: Case) -> Verdict:
    pairs = [(("balanced", "none"), ("under", "none")), (("over", "none"), ("balanced", "none"))]
    return _all_above(claim, case, pairs, "clean accuracy moves as claimed")


def _all_above(
    claim: Claim,
    case: Case,
    pairs: Sequence[tuple[tuple[str, str], tuple[str, str]]],
    words: str,
) -> Verdict:
    gaps = _least(case, pairs)
    if gaps is None:
        return not_run(claim, MISSING)
    gap, where, above = gaps
    cases = len(pairs) * len(case.measured.class_names)
    note = NOTES.text("every-case", words=words, above=above, cases=cases, least=where)
    return case.finding(claim, gap, holds=gap.value > 0, note=note)


def _relative(claim: Claim, case: Case) -> Verdict:
    means = [relative_difference(case.measured, kind) for kind in ("under", "balanced", "over")]
    known = [mean for mean in means if mean is not None]
    if len(known) < len(means):
        return not_run(claim, MISSING)
    under, balanced, over = known
    gap = min(under.value - balanced.value, balanced.value - over.value)
    half = max((one.high - one.low) / 2 for one in known)
    values = {"under": under.value, "balanced": balanced.value, "over": over.value}
    note = NOTES.text("relative-difference", **values)
    estimate = Estimate(gap, gap - half, gap + half, under.seeds, under.kind)
    return case.finding(claim, estimate, holds=gap > 0, note=note)


def _amplified(claim: Claim, case: Case) -> Verdict:
    gains = []
    for label, other in _PAIRS:
        if not {label, other} <= set(case.measured.class_names):
            return not_run(claim, NOTES.text("no-class", label=label, other=other))
        clean = case.measured.confusion("balanced", label, other)
        under = case.measured.confusion("balanced", label, other, "same")
        if not clean or not under:
            return not_run(claim, MISSING)
        gains.append((fmean(under) - fmean(clean), f"{label} to {other}", fmean(clean), len(clean)))
    gain, where, before, seeds = min(gains)
    note = NOTES.text("amplified", least=where, before=before, after=before + gain)
    images = case.measured.records("balanced", "cat")[0]["n"]
    half = 1.96 * (2 * 0.25 / images) ** 0.5
    estimate = Estimate(gain, gain - half, gain + half, seeds, "images")
    return case.finding(claim, estimate, holds=gain > 0, note=note)


def _all_drop(claim: Claim, case: Case) -> Verdict:
    drops = {}
    for name in case.measured.class_names:
        values = case.measured.relative_differences("balanced", name)
        if not values:
            return not_run(claim, MISSING)
        images = case.measured.records("balanced", name)[0]["n"]
        drops[name] = over_seeds([min(1.0, max(0.0, v)) for v in values], images)
    least = min(drops, key=lambda name: drops[name].value)
    note = NOTES.text("all-drop", least=least, lost=drops[least].value)
    return case.finding(claim, drops[least], holds=drops[least].value > 0.5, note=note)


def _small_steps(claim: Claim, case: Case) -> Verdict:
    steps, confused = [], []
    for name in case.measured.class_names:
        distances = case.probes.reference_distances(name)
        clean = case.measured.records("balanced", name)
        if not distances or not clean:
            return not_run(claim, MISSING)
        steps.append(median(distances))
        confused.append(1 - fmean(row["accuracy"] for row in clean))
    if len(set(steps)) < 2 or len(set(confused)) < 2:
        return not_run(claim, NOTES.text("all-alike"))
    rank = spearmanr(confused, steps)
    centre = np.arctanh(np.clip(rank.statistic, -0.999999, 0.999999))
    half = 1.96 / max(1, len(steps) - 3) ** 0.5  # Fisher's transformation
    low, high = (float(np.tanh(centre + side)) for side in (-half, half))
    note = NOTES.text("small-steps", rank=rank.statistic, p=rank.pvalue)
    estimate = Estimate(float(rank.statistic), low, high, 1, "images")
    return case.finding(claim, estimate, holds=rank.statistic < 0, note=note)


_JUDGES: Mapping[str, Callable[[Claim, Case], Verdict]] = {
    "balanced.accuracy": balanced_accuracy,
    "balanced.loss": balanced_loss,
    "parameters": parameters,
    "text.same-under-mean": mean_of("under", "same"),
    "text.same-over-mean": mean_of("over", "same"),
    "cat-to-dog": cat_to_dog,
    "dog-to-cat": dog_to_cat,
    "under-below-balanced": _for_every_class(
        ("balanced", "same"), ("under", "same"), "balanced keeps more"
    ),
    "over-above-balanced": _for_every_class(
        ("over", "same"), ("balanced", "same"), "over-sampled keeps more", _NEARLY_ALL
    ),
    "relative-difference": _relative,
    "transfer-weaker": _transfer_weaker,
    "amplified": _amplified,
    "all-drop": _all_drop,
    "overlap-small-steps": _small_steps,
    "clean-shift": _clean_shift,
}
