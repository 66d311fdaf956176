"""adv-lib's attacks: plain functions on one batch."""

from typing import Any

from benchmarks.peers.jobs import (
    CW_CONSTANT,
    CW_SEARCHES,
    CW_STEP,
    OVERSHOOT,
    Attack,
    Job,
    in_batches,
)
from benchmarks.peers.shims import import_peer
from torch import Tensor


def _attacked(job: Job, name: str, **knobs: Any) -> Tensor:  # noqa: ANN401 - each has its own
    attack = getattr(import_peer("adv_lib.attacks"), name)

    def one(images: Tensor, labels: Tensor) -> Tensor:
        adversarial: Tensor = attack(job.model, images, labels, **knobs)
        return adversarial

    return in_batches(job, one)


def pgd(job: Job) -> Tensor:
    """Projected gradient descent; its radius is a Greek letter."""
    radius = {"\N{GREEK SMALL LETTER EPSILON}": job.eps}
    return _attacked(job, "pgd_linf", steps=job.steps, absolute_step_size=job.step_size, **radius)


def apgd(job: Job) -> Tensor:
    """Auto-PGD on the cross-entropy."""
    return _attacked(job, "apgd", eps=job.eps, norm=job.order, n_iter=job.steps, loss_function="ce")


def fmn(job: Job) -> Tensor:
    """Fast minimum norm."""
    return _attacked(job, "fmn", norm=job.order, steps=job.steps)


def ddn(job: Job) -> Tensor:
    """Decoupled direction and norm, not rounded to 256 levels: that only makes it longer."""
    return _attacked(job, "ddn", steps=job.steps, levels=None)


def deepfool(job: Job) -> Tensor:
    """DeepFool over all classes."""
    return _attacked(job, "df", norm=job.order, steps=job.steps, overshoot=OVERSHOOT)


def cw(job: Job) -> Tensor:
    """Carlini and Wagner's."""
    return _attacked(
        job,
        "carlini_wagner_l2",
        binary_search_steps=CW_SEARCHES,
        max_iterations=job.steps,
        learning_rate=CW_STEP,
        initial_const=CW_CONSTANT,
    )


ATTACKS: dict[str, Attack] = {
    "pgd": pgd,
    "apgd": apgd,
    "fmn-linf": fmn,
    "fmn-l2": fmn,
    "ddn": ddn,
    "deepfool-linf": deepfool,
    "deepfool-l2": deepfool,
    "cw": cw,
}
