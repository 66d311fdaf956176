"""A step with the values of one function and the gradient of another."""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from epsball.errors import BrokenContract

Step: TypeAlias = Callable[[Tensor], Tensor]  # images (n, c, h, w) -> images (n, c', h', w')


class StraightThrough(nn.Module):
    """Run one function forwards and another backwards; see `epsball.attacks.bpda`.

    Args:
        step: gives the values, exactly; may use numpy, files, anything.
        stand_in: differentiable, gives a result of the same shape; the identity when None.

    Example:
        >>> rounding = StraightThrough(torch.round)
        >>> point = torch.tensor([[[[0.8]]]], requires_grad=True)
        >>> value = 3 * rounding(point)
        >>> value.item(), torch.autograd.grad(value, point)[0].item()
        (3.0, 3.0)
    """

    def __init__(self, step: Step, stand_in: Step | None = None) -> None:
        super().__init__()
        self.step = step
        self.stand_in = stand_in
        self.training = any(getattr(part, "training", False) for part in (step, stand_in))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the step makes of images (n, c, h, w).

        Raises:
            BrokenContract: step and stand-in return different shapes.
        """
        with torch.no_grad():
            values = self.step(inputs.detach())
        if not (torch.is_grad_enabled() and inputs.requires_grad):
            return values
        twin = inputs if self.stand_in is None else self.stand_in(inputs)
        if twin.shape != values.shape:
            raise BrokenContract(
                f"bpda: the step turned {tuple(inputs.shape)} into {tuple(values.shape)}, its "
                f"stand-in into {tuple(twin.shape)}: give a backward= of the same shape"
            )
        swap: Any = _Swap.apply  # torch leaves it untyped
        swapped: Tensor = swap(twin.to(values.dtype), values)
        return swapped


class _Swap(torch.autograd.Function):
    """The values of the second argument, bit for bit, and the gradient of the first."""

    # twin + (values - twin).detach() would round, and a quantised image must stay quantised
    @staticmethod
    def forward(ctx: Any, twin: Tensor, values: Tensor) -> Tensor:  # noqa: ANN401, ARG004 - torch's
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401, ARG004 - torch's
        return gradients[0], None
