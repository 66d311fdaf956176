"""What networks expect of pixels, and what people give them instead."""

from dataclasses import dataclass

import torch
from benchmarks.drawn_pairs.tasks import Task
from torch import Tensor, nn

_BYTE = 1 / 255


@dataclass(frozen=True)
class Scaling:
    """From images in [0, 1] to what a network expects: colours reversed or not, then affine."""

    name: str
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    reversed: bool = False


def scalings(task: Task) -> dict[str, Scaling]:
    """Return what networks of a task may expect."""
    colour = task.shape[0] == 3
    known = [
        Scaling("unit"),
        Scaling("own mean and std", task.mean, task.std),
        Scaling("half", (0.5,) * task.shape[0], (0.5,) * task.shape[0]),
        Scaling("bytes", std=(_BYTE,)),
    ]
    if colour:
        known += [
            Scaling("ImageNet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            Scaling("BGR", reversed=True),
            Scaling("BGR bytes without mean", (0.408, 0.459, 0.482), (_BYTE,), reversed=True),
        ]
    else:
        known.append(Scaling("MNIST", (0.1307,), (0.3081,)))
    return {one.name: one for one in known}


class Scale(nn.Module):
    """Images in [0, 1] to what a network expects."""

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self.reversed = scaling.reversed
        self.register_buffer("mean", torch.tensor(scaling.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(scaling.std).view(-1, 1, 1), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scaled images."""
        images = inputs.flip(1) if self.reversed else inputs
        return (images - self.mean) / self.std


class Expecting(nn.Module):
    """A network of images in [0, 1] as one that expects them scaled."""

    def __init__(self, net: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.net, self.reversed = net, scaling.reversed
        self.register_buffer("mean", torch.tensor(scaling.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(scaling.std).view(-1, 1, 1), persistent=False)
        self.training = net.training

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (n, k) for scaled images."""
        images = inputs * self.std + self.mean
        return self.net(images.flip(1) if self.reversed else images)
