"""Foolbox's attacks, called as its documentation does."""

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


def _attacked(job: Job, name: str, **knobs: float | bool) -> Tensor:
    """Run an attack of the table; without a radius where it looks for the nearest image."""
    foolbox = import_peer("foolbox")
    model = foolbox.PyTorchModel(job.model, bounds=(0, 1), device=job.device)
    attack = getattr(foolbox.attacks, name)(**knobs)

    def one(images: Tensor, labels: Tensor) -> Tensor:
        _, attacked, _ = attack(model, images, labels, epsilons=job.eps or None)
        adversarial: Tensor = attacked
        return adversarial

    return in_batches(job, one)


def _named(job: Job, linf: str, l2: str) -> str:
    return linf if job.norm == "linf" else l2


def pgd(job: Job) -> Tensor:
    """Projected gradient descent."""
    return _attacked(job, "LinfPGD", steps=job.steps, abs_stepsize=job.step_size)


def fmn(job: Job) -> Tensor:
    """Fast minimum norm."""
    return _attacked(job, _named(job, "LInfFMNAttack", "L2FMNAttack"), steps=job.steps)


def ddn(job: Job) -> Tensor:
    """Decoupled direction and norm."""
    return _attacked(job, "DDNAttack", steps=job.steps)


def deepfool(job: Job) -> Tensor:
    """DeepFool, over the ten likeliest classes, its default."""
    name = _named(job, "LinfDeepFoolAttack", "L2DeepFoolAttack")
    return _attacked(
        job, name, steps=job.steps, overshoot=OVERSHOOT, candidates=min(10, job.classes)
    )


def cw(job: Job) -> Tensor:
    """Carlini and Wagner's."""
    return _attacked(
        job,
        "L2CarliniWagnerAttack",
        binary_search_steps=CW_SEARCHES,
        steps=job.steps,
        stepsize=CW_STEP,
        initial_const=CW_CONSTANT,
    )


ATTACKS: dict[str, Attack] = {
    "pgd": pgd,
    "fmn-linf": fmn,
    "fmn-l2": fmn,
    "ddn": ddn,
    "deepfool-linf": deepfool,
    "deepfool-l2": deepfool,
    "cw": cw,
}
