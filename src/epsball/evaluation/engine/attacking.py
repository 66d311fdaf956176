"""How the engine runs an attack on examples: eps by eps, batch by batch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from epsball.attacks import best_of
from epsball.attacks.core.validated import unchecked
from epsball.evaluation.engine.aiming import aims, succeeds
from epsball.evaluation.engine.attacked import Attacked, joined, results_of
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.engine.kept import Kept
from epsball.evaluation.engine.recorder import OnScores, Recorder
from epsball.evaluation.engine.starts import choose_starts
from epsball.evaluation.settings import AttackSetting
from epsball.randomness import ImageStreams
from epsball.types import Search


def attack_examples(
    engine: Engine,
    setting: AttackSetting,
    examples: Examples,
    advance: Callable[[int], None] = lambda _: None,
    watch: Callable[[Examples, str], OnScores] | None = None,
) -> list[Attacked]:
    """Attack examples at every eps of a setting, the smallest first.

    With the full budget every image is attacked at every eps. Where only verdicts are sought, an
    image that is adversarial within a ball is so in every larger one and is not attacked again;
    nor is an image that is misclassified when clean, where the examples' scores were read.

    Args:
        engine: the run's engine.
        setting: the attack.
        examples: the clean images.
        advance: called with the number of images that are finished at one eps.
        watch: given a batch and what scores it, "model" or "surrogate", returns the function
            that is called with the scores that the attack computes.

    Returns:
        For each eps of the setting, in order, the results.
    """
    everyone = engine.config.full_budget or examples.clean is None
    rows = torch.arange(len(examples))
    rows = rows if everyone else rows[examples.not_yet_adversarial]
    if (targets := aims(engine, setting, examples)) is not None:
        rows = rows[targets[rows] != examples.labels[rows]]  # an image is in its own class already
    at_once = not setting.spec.takes_eps or setting.sweeps
    swept = None
    if at_once and len(rows):
        swept = attack_batches(engine, setting, examples.rows(rows), advance, watch)
    attacked, current = [], _clean_results(setting, examples)
    for i, eps in enumerate(setting.eps):
        current = current.carried()
        advance(len(examples) - len(rows))
        if swept is not None:
            current.put(swept[i], rows)
        elif len(rows):
            part, one = examples.rows(rows), setting.changed(eps=(eps,))
            (results,) = attack_batches(engine, one, part, advance, watch)
            current.put(results, rows)
            if not engine.config.full_budget and i + 1 < len(setting.eps):
                with engine.unhurried():
                    rows = rows[~succeeds(engine, setting, results.images, part)]
        attacked.append(current)
    return attacked


def attack_batches(
    engine: Engine,
    setting: AttackSetting,
    examples: Examples,
    advance: Callable[[int], None],
    watch: Callable[[Examples, str], OnScores] | None,
) -> list[Attacked]:
    """Attack examples batch by batch, at all eps of a setting in one call of the attack.

    Where only verdicts are sought, an attack that takes a search is given all examples at once and
    cuts the batches itself, so that they stay full while images leave.
    """
    whole = setting.spec.takes_search and not engine.config.full_budget
    parts: list[list[Attacked]] = []
    for micro_batch in engine.batches(len(examples), len(examples) if whole else None):
        with micro_batch as rows:
            batch = examples.rows(rows)
            kept = Kept(engine, setting, batch) if engine.keeps and watch is None else None
            recorders = _recorders(engine, setting, batch, watch or _watching(engine, kept))
            attack, arguments = _call(engine, setting, batch, recorders)
            # a copy: an attack that works in place must not touch the clean images
            inputs = batch.images.to(engine.config.device, copy=True)
            try:
                images = attack(recorders[0], inputs, batch.labels.to(inputs.device), **arguments)
            except OutOfTime:
                if kept is None:
                    raise
                parts.append(_cut_short(engine, setting, batch, kept, recorders))
            else:
                parts.append(results_of(engine, setting, batch, images, recorders))
            advance(len(batch) * len(setting.eps))
    return [joined([part[i] for part in parts]) for i in range(len(setting.eps))]


def _clean_results(setting: AttackSetting, examples: Examples) -> Attacked:
    """Return the clean images as results of an attack that was not run yet."""
    nothing = torch.zeros(len(examples), dtype=torch.int64)
    nearest = setting.spec.takes_norm and not setting.spec.takes_eps
    distance = torch.zeros(len(examples)).double() if nearest else None
    return Attacked(examples.images, nothing, nothing, nothing, distance)


def _recorders(
    engine: Engine,
    setting: AttackSetting,
    batch: Examples,
    watch: Callable[[Examples, str], OnScores | None] | None,
) -> tuple[Recorder, Recorder | None]:
    """Return the model to search on, and the caller's own where that confirms each success."""
    watched = None if watch is None else watch(batch, "model")
    own = engine.recorder(len(batch), watched)
    only_own = not (engine.config.full_budget or setting.spec.takes_search)
    if engine.surrogate is None or only_own:
        return own, None
    watched = None if watch is None else watch(batch, "surrogate")
    return engine.recorder(len(batch), watched, surrogate=True), own


def _call(
    engine: Engine,
    setting: AttackSetting,
    batch: Examples,
    recorders: tuple[Recorder, Recorder | None],
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the attack as it is to be called, and its arguments beside model and examples."""
    config, spec = engine.config, setting.spec
    arguments = setting.arguments(setting.eps[0]) | {
        "generator": ImageStreams.of(
            batch.positions, seed=engine.seed, purpose=setting.variant, device=config.device
        ),
    }
    if (targets := aims(engine, setting, batch)) is not None:
        arguments["targets"] = targets.to(config.device)
    if spec.takes_search and not config.full_budget:
        arguments["search"] = Search(
            confirm=recorders[1], precision=config.precision, micro_batch=config.micro_batch
        )
    if engine.starts is not None and spec.takes_starts:
        arguments["starts"] = choose_starts(engine.starts, batch).to(config.device)
    if setting.sweeps and spec.sweep is not None:
        return spec.sweep, arguments | {"eps": setting.eps}
    # a rehearsal has made the checks of a public call already
    return best_of(unchecked(spec.attack), restarts=setting.restarts), arguments


def _watching(
    engine: Engine, kept: Kept | None
) -> Callable[[Examples, str], OnScores | None] | None:
    """Return who watches: the caller's own model, or its surrogate where that alone is called."""
    if kept is None:
        return None
    alone = engine.config.full_budget and engine.surrogate is not None
    return lambda _, which: kept if which == ("surrogate" if alone else "model") else None


def _cut_short(
    engine: Engine,
    setting: AttackSetting,
    batch: Examples,
    kept: Kept,
    recorders: tuple[Recorder, Recorder | None],
) -> list[Attacked]:
    """Return what an attack has reached when the deadline ends it."""
    points = [kept.within(eps) for eps in setting.eps]
    if not setting.spec.takes_eps:
        points = [kept.nearest]
    with engine.unhurried():
        found = points if setting.sweeps else points[0]
        results = results_of(engine, setting, batch, found, recorders)
        return [replace(one, cut=~succeeds(engine, setting, one.images, batch)) for one in results]
