"""Watching an attack at work: which images it fooled on its way, and which in the end."""

from typing import NamedTuple

import torch
from torch import Tensor

from epsball.evaluation.engine.counting import Counted, Tally
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.verdicts import Batch
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import size
from epsball.objectives import is_adversarial
from epsball.randomness import ImageStreams
from epsball.tensors import Classifier
from epsball.types import ModelInfo, Search

_FIRMLY = 1e-4  # of the largest score: a smaller lead may be gone in a batch of another size
_ROUNDING = 1e-6


class Walk(NamedTuple):
    """What an attack did to each image, (n,) bool each.

    Args:
        returned: the image that it returned fools the model.
        passed: some point within the ball that it asked the model about does.
        claimed: some such point fools the cheaper copy that it searched on; False without one.
    """

    returned: Tensor
    passed: Tensor
    claimed: Tensor


class Watched(Counted):
    """Looks at every point that an attack asks about.

    Args:
        model: the classifier.
        info: what is known of it.
        clean: the images that are attacked, on the device where they are.
        setting: the attack, at one eps; a point outside its ball is no success.
    """

    def __init__(
        self, model: Classifier, info: ModelInfo, clean: Batch, setting: AttackSetting
    ) -> None:
        """Wrap a model; it stays as it is."""
        super().__init__(model, info, Tally(len(clean), str(clean.images.device)))
        self.clean, self.setting = clean, setting
        self.fooled = torch.zeros(len(clean), dtype=torch.bool, device=clean.images.device)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores, and note whom they are wrong about."""
        rows = self.tally.rows_of(len(inputs), self.told)
        scores = super().__call__(inputs)
        logits = scores.detach().float()
        won = is_adversarial(logits, self.clean.labels[rows], classes=self.info.classes)
        first, second = logits.topk(2, dim=1).values.unbind(1)
        won &= first - second > _FIRMLY * logits.abs().amax(1)
        moved = (inputs.detach() - self.clean.images[rows]).double()
        far = size(moved, self.setting.norm)  # type: ignore[arg-type]  # a ball's norm
        won &= far <= self.setting.eps[0] * (1 + _ROUNDING) + _ROUNDING
        self.fooled[rows[won]] = True
        return scores


def watch_attack(engine: Engine, setting: AttackSetting, few: Batch) -> Walk:
    """Attack a few images as the run attacks its own, and watch.

    Args:
        engine: the run's engine: it says what is searched on, and what may be saved.
        setting: a gradient attack with a budget, at one eps.
        few: (n, c, h, w) images that are right when clean, on the CPU.
    """

    def work(rows: slice) -> Walk:
        part = few.rows(rows)
        device = engine.choices.device
        held = Batch(part.images.to(device, copy=True), part.labels.to(device), part.positions)
        own = Watched(engine.model, engine.info, held, setting)
        fast = None
        if engine.twin is not None:
            fast = Watched(engine.twin, engine.info, held, setting)
        made = _attack(engine, setting, held, own, fast).cpu()
        returned = is_adversarial(engine.scores(made), part.labels, classes=engine.info.classes)
        claimed = torch.zeros_like(returned) if fast is None else fast.fooled.cpu()
        return Walk(returned, own.fooled.cpu(), claimed)

    parts = list(engine.each_batch(len(few), work))
    return Walk(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _attack(
    engine: Engine, setting: AttackSetting, held: Batch, own: Watched, fast: Watched | None
) -> Tensor:
    """Put the attack to watched models, with the search that the engine would give it."""
    choices, given = engine.choices, setting.arguments(setting.eps[0])
    searched = fast or own
    if not choices.full_budget:
        if setting.spec.takes_search:
            confirm = None if fast is None else own
            given["search"] = Search(
                confirm=confirm, precision=choices.precision, micro_batch=choices.micro_batch
            )
        else:
            searched = own
    streams = ImageStreams.of(
        held.positions, seed=engine.seed, purpose=setting.variant, device=choices.device
    )
    made = setting.spec.attack(searched, held.images, held.labels, generator=streams, **given)
    return made.detach()
