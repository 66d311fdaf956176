"""Checks after the attacks: of the records, and of each attack repeated on the probe."""

from collections.abc import Sequence

import polars as pl
import torch

from epsball.evaluation.checks.before import check_chance
from epsball.evaluation.checks.class_order import check_class_order
from epsball.evaluation.checks.class_shares import check_known, check_shares
from epsball.evaluation.checks.findings import RANDOM, cut_short
from epsball.evaluation.checks.indicators import check_indicators
from epsball.evaluation.checks.probe import AttackedProbe, Probe
from epsball.evaluation.checks.records import check_records
from epsball.evaluation.checks.repeats import (
    check_eps_zero,
    check_loss,
    check_recomputed,
    check_recorded,
    check_steps,
)
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.progress import Progress
from epsball.evaluation.settings import AttackSetting
from epsball.types import Finding, Passes

_SHARE = 0.15  # of an attack's own passes, for the attacks that repeat it
_FEWEST, _FEWEST_DEAR = 16, 4  # images that are attacked again all the same, where there are any
_ONCE, _WITH_DOUBLED = 1, 3  # attacks on an image: a repetition, and one with twice the steps
_GRADIENT = 3  # forward passes that a gradient costs, about


def check_results(
    engine: Engine,
    settings: Sequence[AttackSetting],
    probe: Probe,
    records: pl.DataFrame,
    *,
    known: Sequence[Finding],
    class_names: Sequence[str],
    progress: Progress,
) -> list[Finding]:
    """Check the records, then repeat every attack on a few images and watch it.

    Args:
        engine: the run's engine.
        settings: the run's attacks.
        probe: a few images of the run.
        records: of all finished shards.
        known: findings from before the attacks.
        class_names: of the labels, in their order.
        progress: shows how far the checks are.
    """
    read = ["index", "label", "clean_prediction", "clean_rejected"]
    images = records.select(read).unique("index")  # of all columns a copy takes much memory
    # a model that guesses does so where it does not reject
    accepted = images.filter(~pl.col("clean_rejected"))
    findings = _check_clean(accepted, class_names, engine.info.classes) if len(accepted) else []
    findings += check_records(records, settings)
    progress.begin("checking the results", len(settings))
    probe = probe.among(torch.tensor(images["index"].to_list()))
    if not len(probe.examples):  # the time budget ended before any of its images
        return [*findings, cut_short("of the results")]
    random = any(one.code in RANDOM for one in known)
    for setting in settings:
        few = probe.first(_count(setting, records))
        try:
            findings += _check_setting(engine, setting, few, records, findings, random=random)
        except OutOfTime:
            return [*findings, cut_short("of the results")]
        progress.advance(1, setting.variant)
    return findings


def _check_clean(accepted: pl.DataFrame, class_names: Sequence[str], classes: int) -> list[Finding]:
    """Check that clean accuracy is above chance, and classes are in the order of the labels."""
    labels, predictions = accepted["label"].to_numpy(), accepted["clean_prediction"].to_numpy()
    findings = check_class_order(labels, predictions, class_names, classes)
    findings = findings or check_chance(int((labels == predictions).sum()), len(labels), classes)
    findings = findings or check_shares(labels, predictions, class_names, classes)
    return findings + check_known(labels, predictions, len(class_names), classes)


def _count(setting: AttackSetting, records: pl.DataFrame) -> int:
    """Return how many images may be attacked again, by what the attack itself cost."""
    own = records.filter(variant=setting.variant)
    calls = len(setting.eps) if setting.sweeps else 1  # one call served every eps
    spent = Passes(*(int(own[key].sum()) / calls for key in ("forwards", "backwards")))
    return repeated(setting, spent, max(1, own["index"].n_unique()))


def repeated(setting: AttackSetting, spent: Passes, images: int) -> int:
    """Return how many images may be attacked again: a share of what the attack cost.

    Args:
        setting: the attack.
        spent: its passes, over all images and eps.
        images: that it was run on. What an image really cost may be far above what was foretold.
    """
    once = setting.changed(eps=setting.eps[-1:], restarts=1).passes()
    each = max(_GRADIENT, once.cost, spent.cost / (images * len(setting.eps)))
    affordable = int(_SHARE * spent.cost / (attacks_again(setting) * each))
    return max(affordable, _FEWEST_DEAR if setting.spec.composite else _FEWEST)


def attacks_again(setting: AttackSetting) -> int:
    """Return in how many attacks' worth of passes an image of the probe is attacked again."""
    return _WITH_DOUBLED if "steps" in setting.knobs and setting.means_harm else _ONCE


def _check_setting(
    engine: Engine,
    setting: AttackSetting,
    probe: Probe,
    records: pl.DataFrame,
    known: Sequence[Finding],
    *,
    random: bool,
) -> list[Finding]:
    """Attack the probe with eps = 0, as the run did, with twice the steps, and without a ball.

    Where the model is random whatever relies on repetition is left out: what fooled one draw need
    not fool the next, and `random-forward` says so.
    """
    findings = [] if random else check_eps_zero(engine, setting, probe)
    widest = setting.changed(eps=setting.eps[-1:], restarts=1)
    if widest.eps[0] == 0:
        return findings
    attacked = AttackedProbe.of(engine, widest, probe)
    if not random:
        findings += check_recomputed(engine, attacked)
        if setting.restarts == 1:
            findings += check_recorded(engine, attacked, records)
    if "steps" in setting.knobs and setting.means_harm:
        findings += check_steps(engine, attacked)
        if setting.is_plain and setting.spec.kind == "budget" and not setting.spec.composite:
            findings += check_loss(attacked)
    if random:
        return findings
    return findings + check_indicators(engine, attacked, records, [*known, *findings])
