"""How the engine puts an attack to a shard: with the full budget, or for verdicts only."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from epsball.attacks import best_of
from epsball.errors import BrokenContract
from epsball.evaluation.engine.counting import Counted, Tally
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import per_row, size
from epsball.objectives import is_adversarial
from epsball.randomness import ImageStreams
from epsball.types import Search

if TYPE_CHECKING:
    from epsball.evaluation.engine.engine import Engine

_FARTHER = (1e-4, 1e-3, 1e-2)  # how much farther than found, where rounding undid a success


@dataclass
class Attacked:
    """What an attack made of a shard at one eps.

    Args:
        images: (n, c, h, w), on the CPU.
        forwards: (n,), int64, forward passes an image cost.
        backwards: (n,), int64.
        distance: (n,), float64, of the nearest adversarial image, infinite where none was found;
            None for attacks that do not look for it.
    """

    images: Tensor
    forwards: Tensor
    backwards: Tensor
    distance: Tensor | None = None

    def rows(self, chosen: Tensor | slice) -> "Attacked":
        """Return some rows."""
        distance = None if self.distance is None else self.distance[chosen]
        return Attacked(
            self.images[chosen], self.forwards[chosen], self.backwards[chosen], distance
        )


@dataclass(frozen=True)
class Batch:
    """Some images with what belongs to them."""

    images: Tensor
    labels: Tensor
    positions: Tensor

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.images)

    def rows(self, chosen: Tensor | slice) -> "Batch":
        """Return some of them."""
        return Batch(self.images[chosen], self.labels[chosen], self.positions[chosen])


def attack_all(
    engine: "Engine", setting: AttackSetting, batch: Batch, advance: Callable[[int], None]
) -> list[Attacked]:
    """Give every image the full budget at every eps."""

    def work(rows: slice) -> list[Attacked]:
        done = _attack_batch(engine, setting, setting.eps, batch.rows(rows))
        advance(rows.stop - rows.start)
        return done

    batches = list(engine.each_batch(len(batch), work))
    return [joined([made[i] for made in batches]) for i in range(len(setting.eps))]


def seek_verdicts(
    engine: "Engine",
    setting: AttackSetting,
    batch: Batch,
    going: Tensor,
    advance: Callable[[int], None],
) -> list[Attacked]:
    """Attack from the smallest eps upwards; what is fooled there is fooled in larger balls."""
    nothing = torch.zeros(len(batch), dtype=torch.int64)
    looks_for_it = setting.spec.takes_norm and not setting.spec.takes_eps
    distance = None if not looks_for_it else torch.zeros(len(batch)).double()
    held = Attacked(batch.images.clone(), nothing, nothing, distance)
    found, all_at_once = [], not setting.spec.takes_eps or _sweeps(setting)
    for i, eps in enumerate(setting.eps):
        now = replace(held, forwards=nothing.clone(), backwards=nothing.clone())
        now.images = held.images.clone()
        if all_at_once and i == 0:
            swept = _attack_rows(engine, setting, setting.eps, batch.rows(going), advance)
        if len(going):
            made = swept[i] if all_at_once else None
            if made is None:
                step = advance if i == 0 else lambda _: None
                made = _attack_rows(engine, setting, (eps,), batch.rows(going), step)[0]
            _put(now, made, going)
            if not all_at_once and i + 1 < len(setting.eps):
                going = going[_is_safe(engine, made.images, batch.labels[going])]
        found.append(now)
        held = now
    return found


def _is_safe(engine: "Engine", images: Tensor, labels: Tensor) -> Tensor:
    return ~is_adversarial(engine.scores(images), labels, classes=engine.info.classes)


def _attack_rows(
    engine: "Engine",
    setting: AttackSetting,
    eps: tuple[float, ...],
    batch: Batch,
    advance: Callable[[int], None],
) -> list[Attacked]:
    """Attack some images: at once where the attack cuts batches itself, else one by one."""

    def work(rows: slice) -> list[Attacked]:
        done = _attack_batch(engine, setting, eps, batch.rows(rows))
        advance(rows.stop - rows.start)
        return done

    size = len(batch) if setting.spec.takes_search else None
    batches = list(engine.each_batch(len(batch), work, size=size))
    if not batches:
        return []
    return [joined([made[i] for made in batches]) for i in range(len(eps))]


def _attack_batch(
    engine: "Engine", setting: AttackSetting, radii: tuple[float, ...], batch: Batch
) -> list[Attacked]:
    device = engine.choices.device
    # a copy: an attack that works in place must not touch the clean images
    inputs, labels = batch.images.to(device, copy=True), batch.labels.to(device)

    def run(attack: Callable[..., Any], **given: Any) -> tuple[Any, Tally]:  # noqa: ANN401 - images, or several
        tally = Tally(len(inputs), device)
        model, search = _searched(engine, setting, tally)
        if search is not None:
            given["search"] = search
        if engine.starts is not None and setting.spec.takes_starts:
            starts = engine.starts.of(batch.images, batch.labels, batch.positions)
            given["starts"] = starts.to(inputs)
        streams = ImageStreams.of(
            batch.positions, seed=engine.seed, purpose=setting.variant, device=device
        )
        made = attack(model, inputs, labels, generator=streams, **given)
        return made, tally

    if _sweeps(setting) and setting.spec.sweep:
        made, tally = run(setting.spec.sweep, **setting.arguments() | {"eps": radii})
        return [_attacked(setting, one, inputs, tally) for one in made]
    attack = best_of(setting.spec.attack, restarts=setting.restarts)
    if setting.spec.takes_eps:
        each = [run(attack, **setting.arguments(eps)) for eps in radii]
        return [_attacked(setting, made, inputs, tally) for made, tally in each]
    made, tally = run(attack, **setting.arguments())
    whole = _attacked(setting, made, inputs, tally)
    if not setting.spec.takes_norm:
        return [whole for _ in radii]
    return _within(engine, setting, radii, batch, whole)


def _sweeps(setting: AttackSetting) -> bool:
    return setting.spec.sweep is not None and setting.restarts == 1


def _searched(
    engine: "Engine", setting: AttackSetting, tally: Tally
) -> tuple[Counted, Search | None]:
    """Return the model an attack is to search on, and what it may save."""
    own = Counted(engine.model, engine.info, tally)
    fast = own if engine.twin is None else Counted(engine.twin, engine.info, tally)
    if engine.choices.full_budget:
        return fast, None
    if not setting.spec.takes_search:
        return own, None
    confirm = None if engine.twin is None else own
    choices = engine.choices
    search = Search(confirm=confirm, precision=choices.precision, micro_batch=choices.micro_batch)
    return fast, search


def _within(
    engine: "Engine", setting: AttackSetting, radii: tuple[float, ...], batch: Batch, made: Attacked
) -> list[Attacked]:
    """Read off what an attack without eps found: inside each radius its image, or clean."""
    images, clean = made.images, batch.images
    moved = (images != clean).flatten(1).any(1)
    wrong = ~_is_safe(engine, images, batch.labels)
    for beyond in _FARTHER:  # on the border itself another batch may decide otherwise
        lost = (moved & ~wrong).nonzero()[:, 0]
        if not len(lost):
            break
        pushed = clean[lost] + (1 + beyond) * (made.images[lost] - clean[lost])
        images = images.index_copy(0, lost, pushed.clamp(0, 1))
        wrong[lost] = ~_is_safe(engine, images[lost], batch.labels[lost])
    distance = size((images - clean).double(), setting.norm)  # type: ignore[arg-type]  # a ball's norm
    distance = torch.where(wrong, distance, torch.full_like(distance, torch.inf))
    spent = made.forwards, made.backwards
    nothing = torch.zeros_like(made.forwards)
    found = []
    for number, eps in enumerate(radii):
        inside = distance <= eps * (1 + 1e-6)
        kept = torch.where(per_row(inside, images), images, clean)
        cost = spent if number == 0 else (nothing, nothing)
        found.append(Attacked(kept, *cost, distance))
    return found


def _put(into: Attacked, made: Attacked, rows: Tensor) -> None:
    into.images[rows] = made.images
    into.forwards[rows], into.backwards[rows] = made.forwards, made.backwards
    if into.distance is not None and made.distance is not None:
        into.distance[rows] = made.distance


def _attacked(setting: AttackSetting, made: Tensor, inputs: Tensor, tally: Tally) -> Attacked:
    if made.shape != inputs.shape:
        raise BrokenContract(
            f"{setting.attack} must return images {tuple(inputs.shape)}, got {tuple(made.shape)}"
        )
    return Attacked(made.detach().cpu(), tally.forwards.cpu(), tally.backwards.cpu())


def joined(parts: list[Attacked]) -> Attacked:
    """Put the results of several batches together."""
    distances = [part.distance for part in parts if part.distance is not None]
    return Attacked(
        torch.cat([part.images for part in parts]),
        torch.cat([part.forwards for part in parts]),
        torch.cat([part.backwards for part in parts]),
        torch.cat(distances) if distances else None,
    )
