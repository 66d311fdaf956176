"""How the engine runs an attack on examples: eps by eps, batch by batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from epsball.attacks import best_of
from epsball.attacks.core.validated import unchecked
from epsball.errors import BrokenContract
from epsball.evaluation.engine.aiming import aims, succeeds
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.engine.recorder import OnScores, Recorder
from epsball.evaluation.engine.starts import choose_starts
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import per_row, size
from epsball.randomness import ImageStreams
from epsball.types import Search

_FARTHER = (1e-4, 1e-3, 1e-2)  # how much farther to go where rounding undid a success


@dataclass
class Attacked:
    """The results of an attack at one eps.

    Args:
        images: (n, c, h, w), on the CPU.
        forwards: (n,), int64, forward passes an image cost.
        backwards: (n,), int64.
        queries: (n,), int64, forward passes of the model that was searched on.
        distance: (n,), float64, of the nearest adversarial image, infinite where there is none;
            None for attacks that do not look for it.
    """

    images: Tensor
    forwards: Tensor
    backwards: Tensor
    queries: Tensor
    distance: Tensor | None = None

    def carried(self) -> "Attacked":
        """Return the same images, copied, at no cost: those of a smaller eps lie in a larger."""
        nothing = torch.zeros_like(self.forwards)
        return Attacked(
            self.images.clone(), nothing, nothing.clone(), nothing.clone(), self.distance
        )

    def put(self, results: "Attacked", rows: Tensor) -> None:
        """Take over the results of some rows."""
        self.images[rows] = results.images
        self.forwards[rows], self.backwards[rows] = results.forwards, results.backwards
        self.queries[rows] = results.queries
        if self.distance is not None and results.distance is not None:
            self.distance[rows] = results.distance


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
            recorders = _recorders(engine, setting, batch, watch)
            attack, arguments = _call(engine, setting, batch, recorders)
            # a copy: an attack that works in place must not touch the clean images
            inputs = batch.images.to(engine.config.device, copy=True)
            images = attack(recorders[0], inputs, batch.labels.to(inputs.device), **arguments)
            parts.append(_results(engine, setting, batch, images, recorders))
            advance(len(batch) * len(setting.eps))
    return [_joined([part[i] for part in parts]) for i in range(len(setting.eps))]


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
    watch: Callable[[Examples, str], OnScores] | None,
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


def _results(
    engine: Engine,
    setting: AttackSetting,
    batch: Examples,
    images: Any,  # noqa: ANN401 - images, or one tensor for each eps of a sweep
    recorders: tuple[Recorder, Recorder | None],
) -> list[Attacked]:
    searched, own = recorders
    forwards = searched.forwards + (0 if own is None else own.forwards)
    backwards = searched.backwards + (0 if own is None else own.backwards)
    engine.passes.update(forwards=int(forwards.sum()), backwards=int(backwards.sum()))
    costs = forwards.cpu(), backwards.cpu(), searched.forwards.cpu()
    several = list(images) if setting.sweeps else [images]
    for one in several:
        if one.shape != batch.images.shape:
            raise BrokenContract(
                f"{setting.attack} must return images {tuple(batch.images.shape)}, "
                f"got {tuple(one.shape)}"
            )
    results = [Attacked(one.detach().cpu(), *costs) for one in several]
    if setting.spec.takes_norm and not setting.spec.takes_eps:
        return _within(engine, setting, batch, results[0])
    return results


def _within(
    engine: Engine, setting: AttackSetting, batch: Examples, nearest: Attacked
) -> list[Attacked]:
    """Read off the results of an attack without eps: inside each radius its image, or clean."""
    images, clean = nearest.images, batch.images
    moved = (images != clean).flatten(1).any(1)
    wrong = succeeds(engine, setting, images, batch)
    for beyond in _FARTHER:  # on the border itself another batch may decide otherwise
        undone = (moved & ~wrong).nonzero()[:, 0]
        if not len(undone):
            break
        farther = clean[undone] + (1 + beyond) * (nearest.images[undone] - clean[undone])
        images = images.index_copy(0, undone, farther.clamp(0, 1))
        wrong[undone] = succeeds(engine, setting, images[undone], batch.rows(undone))
    distance = size((images - clean).double(), setting.norm)  # type: ignore[arg-type]  # a ball's norm
    distance = torch.where(wrong, distance, torch.full_like(distance, torch.inf))
    results = []
    for number, eps in enumerate(setting.eps):
        inside = distance <= eps * (1 + 1e-6)
        chosen = torch.where(per_row(inside, images), images, clean)
        paid = nearest if number == 0 else nearest.carried()
        results.append(replace(paid, images=chosen, distance=distance))
    return results


def _joined(parts: list[Attacked]) -> Attacked:
    """Put the results of several batches together."""
    distances = [part.distance for part in parts if part.distance is not None]
    return Attacked(
        torch.cat([part.images for part in parts]),
        torch.cat([part.forwards for part in parts]),
        torch.cat([part.backwards for part in parts]),
        torch.cat([part.queries for part in parts]),
        torch.cat(distances) if distances else None,
    )
