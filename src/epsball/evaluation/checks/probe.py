"""Short extra attacks on a few images, to see whether the long ones can be believed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import torch
from torch import Tensor

from epsball.evaluation.checks.findings import finding
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.metrics.statistics import mcnemar
from epsball.evaluation.records.measure import Clean, read_scores
from epsball.evaluation.settings import AttackSetting
from epsball.objectives import cross_entropy
from epsball.rejecting import against_rejection
from epsball.types import Finding

_UNMOVED = 8  # images attacked with eps = 0: an attack that moves pixels moves those of any
_SHORT = 10  # times fewer steps are enough for most to see the loss rise
_SURPRISE = 0.01
_MORE_FOOLED = 0.05  # a doubling of the steps that fools this share more means: not done yet
_FALLING = 0.25
_A_WALK = 2  # points
_MISMATCH = 0.02


def check_by_probing(
    engine: Engine, setting: AttackSetting, probe: Clean, records: pl.DataFrame, *, random: bool
) -> list[Finding]:
    """Attack a few images with eps = 0, again, with twice the steps, and watch the loss.

    Args:
        engine: the run's engine.
        setting: one of the run's attacks.
        probe: a few images of the run.
        records: of the run.
        random: the model answers differently each time: what relies on repetition is left out.
    """
    widest = replace(setting, eps=setting.eps[-1:], restarts=1)
    found = []
    if setting.spec.takes_eps and setting.norm != "none" and not random:
        # those first that are attacked at all where only verdicts are sought
        standing = probe.reading.stands(probe.labels)
        few = probe.rows((~standing).int().argsort(stable=True)[:_UNMOVED])
        found = _check_eps_zero(engine, setting, few, _attack(engine, few))
    if widest.eps[0] == 0:
        return found
    attack = _attack(engine, probe)
    made = attack(widest)
    if not random:
        found += _check_recomputed(engine, setting, probe, made)
        # what depends on the other images of a batch is another attack on these few
        if setting.restarts == 1 and not setting.spec.adaptive:
            found += _check_recorded(engine, widest, probe, made, records)
    if "steps" in setting.knobs and setting.means_harm:
        found += _check_steps(engine, widest, probe, made, attack)
        if setting.is_plain and setting.spec.kind == "budget" and not setting.spec.adaptive:
            found += _check_loss(engine, widest, probe)
    return found


def _attack(engine: Engine, probe: Clean) -> Callable[[AttackSetting], Tensor]:
    right = probe.reading.stands(probe.labels)
    return lambda s: (
        engine.attack(s, probe.images, probe.labels, probe.positions, right=right)[0].images
    )


def _check_eps_zero(
    engine: Engine,
    setting: AttackSetting,
    probe: Clean,
    attack: Callable[[AttackSetting], Tensor],
) -> list[Finding]:
    knobs = dict(setting.knobs)
    if "steps" in knobs:
        knobs["steps"] = min(2, knobs["steps"])  # no budget, nothing to search
    unmoved = attack(replace(setting, eps=(0.0,), knobs=knobs, restarts=1))
    reading = read_scores(engine.scores(unmoved), probe.labels, engine.info)
    differing = int((reading.prediction != probe.reading.prediction).sum())
    moved = float((unmoved - probe.images).abs().amax())
    if differing == 0 and moved == 0:
        return []
    message = (
        f"with eps = 0, {setting.variant} moves pixels by up to {moved:.3g} and changes "
        f"{differing} of {len(unmoved)} predictions"
    )
    return [finding("eps-zero-differs", message, variant=setting.variant, moved=moved)]


def _check_recomputed(
    engine: Engine, setting: AttackSetting, probe: Clean, made: Tensor
) -> list[Finding]:
    """Judge the same images twice, the second time in reverse order, as another batch."""
    first = read_scores(engine.scores(made), probe.labels, engine.info).safe
    again = read_scores(engine.scores(made.flip(0)), probe.labels.flip(0), engine.info).safe.flip(0)
    differing = int((first != again).sum())
    if differing <= _MISMATCH * len(made):
        return []
    message = (
        f"asked again about {len(made)} results of {setting.variant}, the model changes its "
        f"verdict on {differing}"
    )
    return [finding("accuracy-mismatch", message, variant=setting.variant, images=differing)]


def _check_recorded(
    engine: Engine, setting: AttackSetting, probe: Clean, made: Tensor, records: pl.DataFrame
) -> list[Finding]:
    """Compare a repetition of the attack with what the records say of the same images."""
    mine, eps = records.filter(variant=setting.variant), setting.eps[0]
    held = mine.filter(eps=eps)
    # where verdicts are sought, what fools within a smaller ball is not sought again in this one
    smaller = mine.clear() if engine.choices.full_budget else mine.filter(pl.col("eps") < eps)
    carried = set(smaller.filter(~pl.col("safe"))["index"])
    recorded = {i: s for i, s in zip(held["index"], held["safe"], strict=True) if i not in carried}
    again = read_scores(engine.scores(made), probe.labels, engine.info).safe.tolist()
    differing = sum(
        recorded.get(index, safe) != safe
        for index, safe in zip(probe.positions.tolist(), again, strict=True)
    )
    # another batch sums in another order: an image on the border may fall to either side
    if differing <= max(1, _MISMATCH * len(again)):
        return []
    message = (
        f"repeated on {len(again)} images, {setting.variant} at eps {setting.eps[0]:.4g} gives "
        f"another verdict than the records on {differing}"
    )
    return [finding("accuracy-mismatch", message, variant=setting.variant, images=differing)]


def _check_steps(
    engine: Engine,
    setting: AttackSetting,
    probe: Clean,
    made: Tensor,
    attack: Callable[[AttackSetting], Tensor],
) -> list[Finding]:
    doubled = replace(setting, knobs=setting.knobs | {"steps": 2 * setting.knobs["steps"]})
    longer = attack(doubled)
    few = ~read_scores(engine.scores(made), probe.labels, engine.info).safe
    many = ~read_scores(engine.scores(longer), probe.labels, engine.info).safe
    gained, lost = int((many & ~few).sum()), int((few & ~many).sum())
    told = (
        f"on {len(made)} images at eps {setting.eps[0]:.4g}, {setting.variant} fools "
        f"{int(few.sum())} with {setting.knobs['steps']} steps and {int(many.sum())} with twice "
        f"as many"
    )
    evidence: dict[str, Any] = {
        "variant": setting.variant,
        "fooled": int(few.sum()),
        "doubled": int(many.sum()),
    }
    if lost > gained and mcnemar(lost, gained) < _SURPRISE:
        return [finding("more-steps-help", told, **evidence)]
    if gained - lost > max(1, _MORE_FOOLED * len(made)):
        return [finding("not-converged", told, **evidence)]
    return []


class _Watched:
    """A classifier that keeps the loss of every point it is shown."""

    def __init__(self, engine: Engine, labels: Tensor) -> None:
        self.model, self.info = engine.model, engine.info
        self.labels, self.losses = labels, list[Tensor]()

    def __call__(self, inputs: Tensor) -> Tensor:
        scores = self.model(inputs)
        rows = self.labels[: len(inputs)].to(scores.device)
        logits = against_rejection(scores.detach().float(), rows, self.info.classes)
        loss = cross_entropy(logits, rows)
        self.losses.append(loss.cpu())
        return scores


def _check_loss(engine: Engine, setting: AttackSetting, probe: Clean) -> list[Finding]:
    """The highest loss seen must lie above the first, for most images right when clean.

    Only where a short walk does not show it the whole one is made.
    """
    steps = setting.knobs["steps"]
    short = min(steps, max(_A_WALK, steps // _SHORT))
    for number in sorted({short, steps}):
        found = _check_walks(
            engine, replace(setting, knobs=setting.knobs | {"steps": number}), probe
        )
        if not found:
            return []
    return found


def _check_walks(engine: Engine, setting: AttackSetting, probe: Clean) -> list[Finding]:
    size, stuck, walks = engine.choices.micro_batch, 0, 0
    for first in range(0, len(probe.labels), size):
        rows = slice(first, first + size)
        labels = probe.labels[rows]
        watched = _Watched(engine, labels)
        # the whole walk, on the model itself: an image that left early would not be watched
        whole = replace(engine.choices, full_budget=True, precision="float32")
        watching = Engine(watched, engine.info, whole, engine.seed)
        watching.attack(setting, probe.images[rows], labels, probe.positions[rows])
        alike = {len(losses) for losses in watched.losses} == {len(labels)}
        if len(watched.losses) < _A_WALK or not alike or watching.halvings:
            return []
        losses = torch.stack(watched.losses)
        safe = probe.reading.safe[rows]
        stuck += int(((losses[1:].amax(0) <= losses[0]) & safe).sum())
        walks += int(safe.sum())
    if walks == 0 or stuck / walks < _FALLING:
        return []
    message = (
        f"at eps {setting.eps[0]:.4g}, the loss of {stuck} of {walks} images never rises above "
        f"its start along {setting.variant}"
    )
    return [finding("loss-not-rising", message, variant=setting.variant, share=stuck / walks)]
