"""The Adversarial Robustness Toolbox's attacks; it takes and gives numpy arrays."""

import torch
from benchmarks.peers.jobs import CW_CONSTANT, CW_SEARCHES, CW_STEP, OVERSHOOT, Attack, Job
from benchmarks.peers.shims import import_peer
from torch import Tensor, nn


def _attacked(job: Job, name: str, **knobs: float | str | bool) -> Tensor:
    estimator = import_peer("art.estimators.classification").PyTorchClassifier(
        model=job.model,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(job.images.shape[1:]),
        nb_classes=job.classes,
        clip_values=(0.0, 1.0),
        device_type="cpu" if job.device == "cpu" else "gpu",
    )
    attack = getattr(import_peer("art.attacks.evasion"), name)(
        estimator, batch_size=job.batch, verbose=False, **knobs
    )
    return torch.from_numpy(attack.generate(x=job.images.numpy(), y=job.labels.numpy()))


def pgd(job: Job) -> Tensor:
    """Projected gradient descent."""
    return _attacked(
        job,
        "ProjectedGradientDescentPyTorch",
        eps=job.eps,
        eps_step=job.step_size,
        max_iter=job.steps,
        num_random_init=1,
    )


def apgd(job: Job) -> Tensor:
    """Auto-PGD on the cross-entropy; its first step is twice the radius, as in the paper."""
    return _attacked(
        job,
        "AutoProjectedGradientDescent",
        eps=job.eps,
        eps_step=2 * job.eps,
        max_iter=job.steps,
        nb_random_init=1,
        loss_type="cross_entropy",
    )


def deepfool(job: Job) -> Tensor:
    """DeepFool over the ten likeliest classes, its default."""
    return _attacked(
        job,
        "DeepFool",
        max_iter=job.steps,
        epsilon=OVERSHOOT,
        nb_grads=min(10, job.classes),
    )


def cw(job: Job) -> Tensor:
    """Carlini and Wagner's, with ART's own line search at every step."""
    return _attacked(
        job,
        "CarliniL2Method",
        binary_search_steps=CW_SEARCHES,
        max_iter=job.steps,
        learning_rate=CW_STEP,
        initial_const=CW_CONSTANT,
    )


ATTACKS: dict[str, Attack] = {
    "pgd": pgd,
    "apgd": apgd,
    "deepfool-l2": deepfool,
    "cw": cw,
}
