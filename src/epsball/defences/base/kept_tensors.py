"""Learned tensors of a rejector: buffers that are empty before the fit and never too coarse."""

import torch
from torch import Tensor

from epsball.defences.base.fitted import WideModule


class KeptTensors(WideModule):
    """Buffers by name, None until they are kept.

    They stay float32 when the module is asked to become bfloat16 or float16: distances to them
    would be noise.

    Args:
        *names: of the buffers.

    Example:
        >>> kept = KeptTensors("mean")
        >>> kept.keep(torch.zeros(1), mean=torch.ones(2, dtype=torch.float64))
        >>> kept.half().mean.dtype
        torch.float32
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in names:
            self.register_buffer(name, None)

    def keep(self, like: Tensor, **values: Tensor) -> None:
        """Take tensors in.

        Args:
            like: of the device they go to, and of their dtype if that is float32 or wider.
            **values: by the names of the buffers.
        """
        wide = torch.promote_types(like.dtype, torch.float32)
        for name, value in values.items():
            setattr(self, name, value.to(wide).to(like.device))  # not every device has float64
