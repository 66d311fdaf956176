"""Attacking shard after shard, as long as a time budget allows and a gate is not settled."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from epsball.errors import InvalidInput
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.metrics.present import counted
from epsball.evaluation.metrics.rates import judged
from epsball.evaluation.phases import Phases
from epsball.evaluation.plan import Plan
from epsball.evaluation.planning.budgeting import Clock
from epsball.evaluation.progress import Progress
from epsball.evaluation.records.finished import count_finished, discard_parts, read_finished
from epsball.evaluation.records.shards import Shard, run_shard, shards_of
from epsball.evaluation.running.sums import write_so_far
from epsball.types import Dataset

_REST = 0.03  # of the budget: less is not worth another shard


def attack_shards(
    run: Path,
    engine: Engine,
    data: Dataset,
    plan: Plan,
    *,
    clock: Clock,
    phases: Phases,
    progress: Progress,
) -> tuple[list[Shard], frozenset[int]]:
    """Run shard after shard, as long as a time budget allows and a gate is not settled.

    A shard that would take longer than is left gives up its last images. One that takes longer all
    the same counts: to leave it out would leave out the images that are hardest to fool. Of its
    images, those that no attack has fooled when the time is over count as right.

    Args:
        run: the run's directory.
        engine: the run's engine.
        data: where the images come from.
        plan: what is to be done.
        clock: when attacks have to end.
        phases: adds up the cost.
        progress: shows how far the run is.

    Returns:
        The shards that are done, and the positions of images on which an attack was ended early.

    Raises:
        InvalidInput: the time budget ends before an attack on the first images has begun.
    """
    engine.deadline, engine.keeps = clock.attacks, clock.budget is not None and plan.gate is None
    sizes = plan.manifest.engine
    pending = shards_of(plan.positions, sizes.shard, sizes.first)
    discard_parts(run)
    _announce(run, plan, pending, progress)
    done, cut, each_image = list[Shard](), frozenset[int](), 0.0  # seconds, in the shard before
    while pending and not cut:
        if (shard := _next(run, engine, plan, pending, each_image=each_image)) is None:
            break
        began = time.monotonic()
        try:
            cut = run_shard(
                engine,
                data,
                shard,
                plan.settings,
                run=run,
                advance=lambda setting, count: progress.advance(count, setting.variant),
            )
        except KeyboardInterrupt:
            write_so_far(run, plan, done, phases)
            raise
        except OutOfTime:
            if not done:
                raise _too_short(plan, len(shard.positions)) from None
            break
        each_image = (time.monotonic() - began) / len(shard.positions)
        done.append(replace(shard, whole=shard.whole and not cut))
        if _is_settled(run, plan, done):
            break
        if clock.budget is not None:
            progress.say(f"so far: {write_so_far(run, plan, done, phases)}")
    engine.deadline, engine.keeps = clock.checks, False
    return done, cut


def _next(
    run: Path, engine: Engine, plan: Plan, pending: list[Shard], *, each_image: float
) -> Shard | None:
    """Take the next shard, or as much of it as the time that is left suffices for.

    Args:
        run: the run's directory.
        engine: knows when the time is over.
        plan: what is to be done.
        pending: shards in their order; what is taken leaves the list.
        each_image: seconds an image is expected to take.

    Returns:
        The shard; None: the time suffices for none.
    """
    shard, left = pending.pop(0), engine.deadline - time.monotonic()
    if not each_image or each_image * len(shard.positions) <= left:
        return shard
    begun = count_finished(run, [shard], plan.settings) > 0  # by a run before: whole or not at all
    count = int(left / each_image)
    if not engine.keeps or begun or count < 1 or left < _REST * (plan.manifest.budget or 0):
        return None
    first, others = shard.split(count)
    pending[:] = [others]
    return first


def _announce(run: Path, plan: Plan, shards: Sequence[Shard], progress: Progress) -> None:
    """Say what begins, and what is finished already."""
    progress.say(plan.described)
    if finished := count_finished(run, shards, plan.settings):
        all_of_them = len(plan.positions) * len(plan.settings)
        progress.say(
            f"continuing {run}: {finished:,} of {all_of_them:,} attacks on an image are finished"
        )
    each = sum(len(setting.eps) for setting in plan.settings)
    progress.begin("attacking", len(plan.positions) * each)


def _is_settled(run: Path, plan: Plan, done: Sequence[Shard]) -> bool:
    """Say whether the images so far settle the verdict of the gate, where there is one."""
    if plan.gate is None:
        return False
    rows = judged(read_finished(run, done, plan.settings))
    return plan.gate.settled(rows, len(plan.positions)) is not None


def _too_short(plan: Plan, count: int) -> InvalidInput:
    names = ", ".join(setting.variant for setting in plan.settings)
    return InvalidInput(
        f"--budget {plan.manifest.budget:g} is too short for {names} on the first "
        f"{counted(count, 'image')}: give a longer one, or a cheaper attack such as pgd or apgd"
    )
