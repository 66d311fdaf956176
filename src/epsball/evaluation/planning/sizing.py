"""Sizes of a run: its micro-batches, its shards, and how many images a time budget reaches."""

from collections.abc import Sequence

import torch

from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.measuring import choose_config, first_size
from epsball.evaluation.manifest import Manifest
from epsball.evaluation.phases import Phases
from epsball.evaluation.planning.budgeting import affordable, first_shard
from epsball.evaluation.planning.request import Request
from epsball.evaluation.settings import AttackSetting
from epsball.evaluation.subject import Subject

PROBED = 64  # images for the checks, at most
_FEWEST, _FEWEST_IN_TIME = 16, 4  # and at least, where there are as many; with a time budget
_SHARE = 0.1  # of the passes of the attacks, for the checks before them
_EACH = 6  # passes that these checks need for an image
_SECONDS_A_SHARD = 30.0  # what a kill may cost, about
_SMALLEST, _LARGEST = 16, 1024
_FIRST_JUDGED = 16  # images after which a gate that may end early is judged first
# shares of a time budget: for the checks after the attacks, the measuring before
_CHECKING, _MEASURING = 0.15, 0.05
_WORTH_MEASURING = 8  # micro-batches of gradients: shorter runs are over before much is measured
_CHECKS = 6  # gradients the checks spend for one of the attack


def choose_sizes(
    subject: Subject,
    sample: torch.Tensor,
    request: Request,
    begun: Manifest | None,
    *,
    count: int,
    phases: Phases,
) -> tuple[EngineConfig, float | None]:
    """Choose sizes, and say how many gradients a second this machine computes, if measured."""
    if begun is not None:
        update: dict[str, object] = {
            "device": subject.device,
            "full_budget": request.full_budget,
            "through": request.through,
        }
        if request.precision == "float32":
            update["precision"] = request.precision
        return begun.engine.changed(**update), None
    probed = _SHARE * count * _gradients(request.settings) / _EACH
    config = EngineConfig(
        device=subject.device,
        micro_batch=request.micro_batch or 1,
        threads=torch.get_num_threads(),
        full_budget=request.full_budget,
        through=request.through,
        probe=int(min(max(probed, _FEWEST), PROBED)),
    )
    if subject.findings:
        return config, 1.0
    first, gradients = first_size(sample, count), count * _gradients(request.settings)
    if (
        request.precision in {"auto", "float32"}
        and request.micro_batch is None
        and request.budget is None
        and gradients < _WORTH_MEASURING * first
    ):
        return config.changed(micro_batch=first), None
    limit = {} if request.budget is None else {"seconds": min(4.0, _MEASURING * request.budget)}
    config, rate = choose_config(
        subject.model,
        sample,
        config,
        requested=request.precision,
        micro_batch=request.micro_batch,
        most=count,
        gradients=gradients,
        passes=phases.passes,
        **limit,
    )
    if request.budget is not None and rate is not None:
        steps = [int(setting.knobs.get("steps", 1)) for setting in request.settings]
        each = sum(_CHECKS * (number + 1) for number in steps)
        affordable = int(_CHECKING * request.budget * rate / each)
        config = config.changed(probe=min(config.probe, max(affordable, _FEWEST_IN_TIME)))
    return config, rate


def shard_sizes(config: EngineConfig, rate: float, request: Request) -> dict[str, int]:
    """Return how many images are written at once: what a kill may cost is half a minute, about."""
    dearest = max([1, *(setting.gradients for setting in request.settings)])
    size, images = config.micro_batch, _SECONDS_A_SHARD * rate / dearest
    shard = int(min(max(images, _SMALLEST), _LARGEST))
    shard = max(1, shard // size) * size if shard > size else shard
    first = min(shard, _FIRST_JUDGED) if request.gate is not None else shard
    if request.budget is not None:
        keeps = request.gate is None
        few = first_shard(request.settings, rate, request.budget, size, keeps=keeps)
        first = min(first, few)
    if request.budget is None and request.gate is None:
        return {"shard": shard}
    return {"shard": max(shard, first), "first": first}


def affordable_images(
    count: int, rate: float, reading: float, request: Request, begun: Manifest | None
) -> int:
    """Return how many images a time budget may reach; all of them without one."""
    if request.budget is None:
        return count
    if begun is not None:
        return begun.data.n
    return min(count, affordable(request.settings, rate, reading, request.budget))


def _gradients(settings: Sequence[AttackSetting]) -> int:
    """Return the gradients that all attacks may spend on an image."""
    return sum(setting.gradients for setting in settings)
