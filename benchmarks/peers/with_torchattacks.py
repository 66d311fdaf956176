"""torchattacks' attacks, called as its documentation does."""

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


def _attacked(job: Job, name: str, **knobs: float | str) -> Tensor:
    attack = getattr(import_peer("torchattacks"), name)(job.model, **knobs)

    def one(images: Tensor, labels: Tensor) -> Tensor:
        adversarial: Tensor = attack(images, labels)
        return adversarial

    return in_batches(job, one)


def pgd(job: Job) -> Tensor:
    """Projected gradient descent."""
    return _attacked(job, "PGD", eps=job.eps, alpha=job.step_size, steps=job.steps)


def apgd(job: Job) -> Tensor:
    """Auto-PGD on the cross-entropy."""
    return _attacked(job, "APGD", eps=job.eps, steps=job.steps, loss="ce", seed=job.seed)


def deepfool(job: Job) -> Tensor:
    """DeepFool; it takes one image at a time, whatever the batch."""
    return _attacked(job, "DeepFool", steps=job.steps, overshoot=OVERSHOOT)


def cw(job: Job) -> Tensor:
    """Carlini and Wagner's; it has one constant, and is given all steps for that one."""
    return _attacked(job, "CW", c=CW_CONSTANT, steps=job.steps * CW_SEARCHES, lr=CW_STEP)


def autoattack(job: Job) -> Tensor:
    """Its version of AutoAttack's standard ensemble."""
    return _attacked(job, "AutoAttack", eps=job.eps, n_classes=job.classes, seed=job.seed)


ATTACKS: dict[str, Attack] = {
    "pgd": pgd,
    "apgd": apgd,
    "deepfool-l2": deepfool,
    "cw": cw,
    "strongest": autoattack,
}
