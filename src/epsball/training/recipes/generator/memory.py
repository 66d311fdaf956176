"""What recipe `generator` remembers: weights of two networks, and Adam's averages of each.

All of it lies in the memory of the batch, which is part of the checkpoint, and is changed in place.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Adam

from epsball.errors import InvalidInput
from epsball.randomness import Randomness
from epsball.training.recipes.generator.nets import Shapes, drawn_weights
from epsball.training.run.checkpoints import read_tensors

GENERATOR, DISCRIMINATOR = "generator", "discriminator"
_CHECKPOINT = "checkpoint.safetensors"
_AVERAGES = ("exp_avg", "exp_avg_sq")  # Adam's own names
_STEP = "step"


def recall(
    memory: dict[str, Tensor], net: str, shapes: Shapes, like: Tensor, generator: Randomness
) -> dict[str, Tensor]:
    """Return a network's weights, as leaves that want a gradient and share the memory's numbers.

    Args:
        memory: of the recipe; what it lacks is drawn, and put there.
        net: which network.
        shapes: of its weights, by name.
        like: gives dtype and place.
        generator: draws first weights.
    """
    if any(f"{net}.{name}" not in memory for name in shapes):
        for name, weight in drawn_weights(shapes, like, generator).items():
            memory[f"{net}.{name}"] = weight
            memory |= {f"{net}.{name}.{what}": torch.zeros_like(weight) for what in _AVERAGES}
            memory[f"{net}.{name}.{_STEP}"] = torch.zeros((), device=like.device)
    return {name: memory[f"{net}.{name}"].detach().requires_grad_() for name in shapes}


def descend(memory: dict[str, Tensor], net: str, slopes: Mapping[str, Tensor], rate: float) -> None:
    """Move a network's weights once against their gradients, by Adam.

    Args:
        memory: of the recipe; changed in place.
        net: which network.
        slopes: the gradient of each weight, by name.
        rate: learning rate.
    """
    weights = {name: memory[f"{net}.{name}"].detach() for name in slopes}
    optimizer = Adam(weights.values(), lr=rate, fused=True)
    for name, weight in weights.items():
        state = {what: memory[f"{net}.{name}.{what}"] for what in (_STEP, *_AVERAGES)}
        optimizer.state[weight] = state  # the very tensors: Adam changes them in place
        # in the weight's own layout, which a convolution's gradient may not have
        weight.grad = slopes[name].contiguous()
    optimizer.step()


def generator_weights(run: Path) -> dict[str, Tensor]:
    """Read the generator that a run of recipe `generator` has left, for `perturb`.

    Args:
        run: the run's directory.

    Returns:
        Its weights, by name, on the CPU: those after the last finished epoch.

    Raises:
        InvalidInput: there is no checkpoint, or it holds no generator.
    """
    file = run / _CHECKPOINT
    tensors, _ = read_tensors(file)
    prefix = f"memory.{GENERATOR}."
    chosen = {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}
    weights = {name: v for name, v in chosen.items() if name.endswith((".weight", ".bias"))}
    if not weights:
        raise InvalidInput(
            f"train: {file} holds no generator; name the directory of a run of recipe 'generator'"
        )
    return weights
