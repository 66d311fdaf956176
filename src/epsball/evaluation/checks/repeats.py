"""Short extra attacks on a few images, which verify the results of the long ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import torch

from epsball.evaluation.checks.findings import finding
from epsball.evaluation.checks.probe import AttackedProbe, Probe, safe_rows
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import read_scores
from epsball.evaluation.metrics.statistics import mcnemar
from epsball.evaluation.settings import AttackSetting
from epsball.types import Finding

_UNMOVED = 8  # images attacked with eps = 0: an attack that moves pixels moves those of any
_UNMOVED_DEAR = 2  # where the attack cannot be shortened
# no budget, nothing to search
_SHORT: Mapping[str, int] = {"steps": 2, "queries": 10, "classes": 1}
_SURPRISE = 0.01
_MORE_FOOLED = 0.05  # a doubling of the steps that fools this share more: not converged
_FALLING = 0.25
_MISMATCH = 0.02
_FEW_DIFFER = 0.2  # of the images of a repetition


def check_eps_zero(engine: Engine, setting: AttackSetting, probe: Probe) -> list[Finding]:
    """With eps = 0 an attack has to return the clean images."""
    if not setting.spec.takes_eps or setting.norm == "none":
        return []
    short = {
        key: min(few, setting.knobs[key]) for key, few in _SHORT.items() if setting.knobs.get(key)
    }
    count = _UNMOVED if short or not setting.spec.composite else _UNMOVED_DEAR
    # those first that are attacked at all where only verdicts are sought
    wrong = ~probe.examples.not_yet_adversarial
    few = probe.rows(wrong.int().argsort(stable=True)[:count]).examples
    unmoved = setting.changed(eps=(0.0,), knobs=setting.knobs | short, restarts=1)
    images = attack_examples(engine, unmoved, few)[0].images
    moved = float((images - few.images).abs().amax())
    if moved == 0:
        return []
    reading = read_scores(engine.scores(images), few.labels, engine.info)
    differing = int((reading.prediction != few.reading.prediction).sum())
    message = (
        f"with eps = 0, {setting.variant} moves pixels by up to {moved:.3g} and changes "
        f"{differing} of {len(few)} predictions"
    )
    return [finding("eps-zero-differs", message, variant=setting.variant, moved=moved)]


def check_recomputed(engine: Engine, attacked: AttackedProbe) -> list[Finding]:
    """Judge the same images again, in reverse order, as another batch."""
    labels = attacked.probe.examples.labels.flip(0)
    again = read_scores(engine.scores(attacked.images.flip(0)), labels, engine.info).safe.flip(0)
    differing = int((attacked.safe != again).sum())
    if differing <= _MISMATCH * len(again):
        return []
    variant = attacked.setting.variant
    message = (
        f"scored again, {len(again)} results of {variant} get another verdict in {differing} cases"
    )
    return [finding("accuracy-mismatch", message, variant=variant, images=differing)]


def check_recorded(engine: Engine, attacked: AttackedProbe, records: pl.DataFrame) -> list[Finding]:
    """Compare a repetition of the attack with what the records say of the same images."""
    variant, eps = attacked.setting.variant, attacked.setting.eps[0]
    own = records.filter(variant=variant)
    widest = own.filter(eps=eps)
    # where verdicts are sought, what fools within a smaller ball is not attacked in this one
    smaller = own.clear() if engine.config.full_budget else own.filter(pl.col("eps") < eps)
    carried = set(smaller.filter(~pl.col("safe"))["index"])
    rows = zip(widest["index"], widest["safe"], strict=True)
    recorded = {index: safe for index, safe in rows if index not in carried}
    positions = attacked.probe.examples.positions.tolist()
    differing = sum(
        recorded.get(index, safe) != safe
        for index, safe in zip(positions, attacked.safe.tolist(), strict=True)
    )
    # another batch sums in another order: an image on the border may fall to either side
    if differing <= max(1, _MISMATCH * len(positions)):
        return []
    message = (
        f"repeated on {len(positions)} images, {variant} at eps {eps:.4g} gives another verdict "
        f"than the records on {differing}"
    )
    mismatch = finding("accuracy-mismatch", message, variant=variant, images=differing)
    # the walk of an attack may part from itself by rounding alone: a few doubt the rate, and many
    # leave nothing of it
    few = differing <= _FEW_DIFFER * len(positions)
    return [replace(mismatch, severity="warning") if few else mismatch]


def check_steps(engine: Engine, attacked: AttackedProbe) -> list[Finding]:
    """Twice the steps must fool hardly more images, and not fewer."""
    setting, probe = attacked.setting, attacked.probe
    doubled = setting.changed(knobs=setting.knobs | {"steps": 2 * setting.knobs["steps"]})
    longer = attack_examples(engine, doubled, probe.examples)[0].images
    few, many = ~attacked.safe, ~safe_rows(engine, longer, probe)
    gained, lost = int((many & ~few).sum()), int((few & ~many).sum())
    message = (
        f"on {len(few)} images at eps {setting.eps[0]:.4g}, {setting.variant} fools "
        f"{int(few.sum())} with {setting.knobs['steps']} steps and {int(many.sum())} with twice "
        f"as many"
    )
    evidence: dict[str, Any] = {
        "variant": setting.variant,
        "fooled": int(few.sum()),
        "doubled": int(many.sum()),
    }
    if lost > gained and mcnemar(lost, gained) < _SURPRISE:
        return [finding("more-steps-help", message, **evidence)]
    if gained - lost > max(1, _MORE_FOOLED * len(few)):
        return [finding("not-converged", message, **evidence)]
    return []


def check_loss(attacked: AttackedProbe) -> list[Finding]:
    """The highest loss seen must lie above the first, for most images right when clean.

    An image that is fooled has a loss that rose, wherever its walk ended.
    """
    walk, setting = attacked.walk, attacked.setting
    fooled = walk.passed | walk.claimed
    walked = (walk.highest > -torch.inf) | fooled
    walked = attacked.probe.examples.reading.safe & walked.cpu()
    rose = (walk.highest > walk.start) | fooled
    stuck, count = int((walked & ~rose.cpu()).sum()), int(walked.sum())
    if count == 0 or stuck / count < _FALLING:
        return []
    message = (
        f"at eps {setting.eps[0]:.4g}, the loss of {stuck} of {count} images never rises above "
        f"its start along {setting.variant}"
    )
    return [finding("loss-not-rising", message, variant=setting.variant, share=stuck / count)]
