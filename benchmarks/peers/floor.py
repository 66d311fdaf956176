"""The passes that no attack can do without: forwards and gradients, and nothing else."""

import torch
from benchmarks.peers.jobs import Attack, Job, in_batches
from torch import Tensor, nn


def bare(job: Job) -> Tensor:
    """Take the gradient of every image as often as the attack does, and change nothing."""

    def one(images: Tensor, labels: Tensor) -> Tensor:
        for _ in range(job.steps):
            point = images.detach().requires_grad_()
            loss = nn.functional.cross_entropy(job.model(point), labels, reduction="sum")
            torch.autograd.grad(loss, point)
        return images

    return in_batches(job, one)


ATTACKS: dict[str, Attack] = {"floor": bare}
