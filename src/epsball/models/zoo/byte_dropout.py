"""Dropout whose mask is compared byte by byte: fewer random draws on a CPU than torch's."""

import torch
from torch import Tensor, nn

_LEVELS = 256  # values of a byte
_BYTES = 8  # of an int64
_LOWEST = torch.iinfo(torch.int64).min


class ByteDropout(nn.Dropout):
    """Dropout that draws 8 random bits a value on a CPU, and is `nn.Dropout` elsewhere.

    torch draws one Bernoulli number per value; here a 64-bit draw serves eight values.

    Args:
        p: probability of dropping a value. Where 256 * p is not a whole number, `nn.Dropout` is
            used, so that p is always exact.
        inplace: as in `nn.Dropout`, which is then used.

    Source: Srivastava et al. 2014, JMLR 15, 1929-1958; values that are kept are divided by 1 - p.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> ByteDropout(0.5)(torch.ones(8))
        tensor([2., 0., 0., 0., 0., 2., 2., 0.])
        >>> ByteDropout(0.5).eval()(torch.ones(2))
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.Dropout
        """Return the values, in train mode with a share p of them set to 0, any shape."""
        levels = (1 - self.p) * _LEVELS
        if not self.training or not 0 < levels < _LEVELS:
            return super().forward(input)
        if (
            levels != int(levels)
            or self.inplace
            or input.device.type != "cpu"
            or not _is_dense(input)
        ):
            return super().forward(input)
        draws = torch.empty(-(-input.numel() // _BYTES), dtype=torch.int64)
        draws.random_(_LOWEST, None)
        # in the order in which the values lie in memory, whatever their layout
        values = draws.view(torch.uint8).as_strided(input.shape, input.stride())
        mask = torch.empty_like(input, requires_grad=False)
        torch.lt(values, int(levels), out=mask)
        return input * mask.mul_(_LEVELS / levels)


def _is_dense(values: Tensor) -> bool:
    """Say whether values fill a block of memory without gaps or overlap, in any order of axes."""
    return values.is_contiguous() or values.is_contiguous(memory_format=torch.channels_last)
