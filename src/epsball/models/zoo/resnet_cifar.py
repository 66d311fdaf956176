"""A small residual network for images of 32 x 32 pixels."""

from torch import nn
from torch.nn import functional

from epsball.errors import InvalidInput
from epsball.tensors import Images, Logits

WIDTHS = (16, 32, 64)  # filters of the three stages


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut without parameters."""

    def __init__(self, inputs: int, filters: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = filters - inputs
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)

    def forward(self, inputs: Images) -> Images:
        """Return the features, (n, filters, h / stride, w / stride)."""
        features = self.norm1(self.conv1(inputs)).relu()
        features = self.norm2(self.conv2(features))
        shortcut = inputs[:, :, :: self.stride, :: self.stride]
        shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))
        outputs: Images = (features + shortcut).relu()
        return outputs


class ResNetCifar(nn.Module):
    """Three stages of residual blocks and one linear layer; see `build_resnet_cifar`."""

    def __init__(self, *, classes: int, depth: int, width: float) -> None:
        super().__init__()
        widths = [max(1, round(width * filters)) for filters in WIDTHS]
        self.first = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        stages: list[nn.Module] = []
        inputs = widths[0]
        for stage, filters in enumerate(widths):
            for block in range((depth - 2) // 6):
                stages.append(ResidualBlock(inputs, filters, 2 if stage and not block else 1))
                inputs = filters
        self.stages = nn.Sequential(*stages)
        self.output = nn.Linear(inputs, classes)

    def forward(self, inputs: Images) -> Logits:
        """Return logits (n, classes) for images (n, 3, 32, 32) in [0, 1]."""
        features = self.stages(self.norm(self.first(inputs)).relu())
        logits: Logits = self.output(features.mean((2, 3)))
        return logits


def build_resnet_cifar(*, classes: int = 10, depth: int = 8, width: float = 1.0) -> ResNetCifar:
    """Build the residual network with fresh weights.

    Args:
        classes: k, the number of logits.
        depth: number of layers with weights; 6 n + 2 with n >= 1: 8, 14, 20 ...
        width: factor on the numbers of filters 16, 32 and 64, rounded.

    Returns:
        The module in train mode, for images (n, 3, 32, 32); 75,290 parameters by default.

    Raises:
        InvalidInput: depth is not 6 n + 2.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2, with the shortcut of option A. Departure:
        the smallest of the family, depth 8, is the default.

    Example:
        >>> sum(p.numel() for p in build_resnet_cifar().parameters())
        75290
    """
    if depth < 8 or (depth - 2) % 6:
        raise InvalidInput(f"resnet-cifar: depth must be 8, 14, 20 ... (6 n + 2), got {depth}")
    return ResNetCifar(classes=classes, depth=depth, width=width)
