"""The results of an attack, read off the images that it returns."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from epsball.errors import BrokenContract
from epsball.evaluation.engine.aiming import succeeds
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.engine.recorder import Recorder
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import per_row, size

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
        cut: (n,), bool, not fooled by an attack that the deadline ended early; None: none was.
    """

    images: Tensor
    forwards: Tensor
    backwards: Tensor
    queries: Tensor
    distance: Tensor | None = None
    cut: Tensor | None = None

    def carried(self) -> "Attacked":
        """Return the same images, copied, at no cost: those of a smaller eps lie in a larger."""
        nothing = torch.zeros_like(self.forwards)
        return Attacked(
            self.images.clone(), nothing, nothing.clone(), nothing.clone(), self.distance
        )

    def put(self, results: "Attacked", rows: Tensor) -> None:
        """Take over the results of some rows."""
        if results.cut is not None:  # what a smaller eps has reached is not lost
            self.cut = torch.zeros(len(self.images), dtype=torch.bool)
            self.cut[rows] = results.cut
            ended = per_row(results.cut, results.images)
            results = replace(results, images=torch.where(ended, self.images[rows], results.images))
        self.images[rows] = results.images
        self.forwards[rows], self.backwards[rows] = results.forwards, results.backwards
        self.queries[rows] = results.queries
        if self.distance is not None and results.distance is not None:
            self.distance[rows] = results.distance


def results_of(
    engine: Engine,
    setting: AttackSetting,
    batch: Examples,
    images: Any,  # noqa: ANN401 - images, or one tensor for each eps of a sweep
    recorders: tuple[Recorder, Recorder | None],
) -> list[Attacked]:
    """Return the results of an attack at every eps, with the passes that each image cost.

    Args:
        engine: adds the passes up.
        setting: the attack.
        batch: the clean images.
        images: what the attack returned: images, or one tensor for each eps of a sweep.
        recorders: of the model that was searched on, and of the caller's own where that is another.

    Raises:
        BrokenContract: the images have another shape.
    """
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


def joined(parts: list[Attacked]) -> Attacked:
    """Put the results of several batches together."""
    distances = [part.distance for part in parts if part.distance is not None]
    nowhere = [torch.zeros(len(part.images), dtype=torch.bool) for part in parts]
    cuts = [one if part.cut is None else part.cut for part, one in zip(parts, nowhere, strict=True)]
    return Attacked(
        torch.cat([part.images for part in parts]),
        torch.cat([part.forwards for part in parts]),
        torch.cat([part.backwards for part in parts]),
        torch.cat([part.queries for part in parts]),
        torch.cat(distances) if distances else None,
        torch.cat(cuts) if any(part.cut is not None for part in parts) else None,
    )
