"""JPEG compression: the defence that forgets what eyes do not see."""

import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.image_codec import CHANNELS, through_jpeg
from epsball.models.purifiers.defended import Remedy

BEST = 100
_TOP = 255


class JpegCompression(nn.Module):
    """Compress every image with JPEG, at 8 bits a channel, and decompress it.

    No gradient comes through: an attack that needs one is refused.

    Args:
        quality: of the encoder, 1 (coarse) to 100.

    Raises:
        InvalidInput: quality is outside 1 to 100; images have neither one channel nor three.

    Source: Guo et al. 2018, arXiv:1711.00117, who use quality 75. The codec is Pillow's, with
    colours at half resolution (4:2:0), its default.

    Example:
        >>> inputs = torch.full((1, 1, 8, 8), 0.5)
        >>> JpegCompression(quality=75)(inputs).mul(255).unique().tolist()
        [128.0]
    """

    remedy: Remedy = "bpda"

    def __init__(self, quality: int = 75) -> None:
        super().__init__()
        if not 1 <= quality <= BEST:
            raise InvalidInput(f"JpegCompression: quality must be 1 to {BEST}, got {quality}")
        self.quality = quality
        self.training = False  # there is no other mode

    def forward(self, inputs: Tensor) -> Tensor:
        """Return images of the same shape, (n, c, h, w), without gradient."""
        channels = inputs.shape[1]
        if channels not in CHANNELS:
            raise InvalidInput(f"JpegCompression: images must have 1 or 3 channels, got {channels}")
        pixels = (inputs.detach().float().clamp(0, 1) * _TOP).round().byte().cpu().numpy()
        return torch.from_numpy(through_jpeg(pixels, self.quality)).to(inputs) / _TOP

    def stand_in(self, inputs: Tensor) -> Tensor:
        """Return the images themselves: that is what a codec is meant to return."""
        return inputs

    def extra_repr(self) -> str:
        """Return the settings: they are part of what the model is."""
        return f"quality={self.quality}"
