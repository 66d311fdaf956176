"""The base classifier of the rejection studies, its layers numbered as the source numbers them."""

from torch import nn

from epsball.tensors import Images, Logits


class BaseCnn(nn.Module):
    """Four convolutions and three fully connected layers; see `build_base_cnn` for the arguments.

    The submodules `layer5`, `layer7` and `layer8` give the activations that rejection defences are
    fitted on.
    """

    def __init__(self, *, classes: int, dropout: float, width: float) -> None:
        super().__init__()
        few, many, units = (max(1, round(width * size)) for size in (32, 64, 200))
        self.layer1 = _convolution(1, few)
        self.layer2 = _convolution(few, few)
        self.layer3 = nn.MaxPool2d(2)
        self.layer4 = _convolution(few, many)
        self.layer5 = _convolution(many, many)
        self.layer6 = nn.MaxPool2d(2)
        self.layer7 = nn.Sequential(nn.Linear(7 * 7 * many, units), nn.ReLU())
        self.layer8 = nn.Sequential(nn.Linear(units, units), nn.ReLU())
        self.layer9 = nn.Linear(units, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Images) -> Logits:
        """Return logits (n, classes) for images (n, 1, 28, 28) in [0, 1]."""
        low = self.layer3(self.layer2(self.layer1(inputs)))  # (n, 32, 14, 14)
        high = self.layer6(self.layer5(self.layer4(low)))  # (n, 64, 7, 7)
        first = self.dropout(self.layer7(high.flatten(1)))  # (n, 200)
        logits: Logits = self.layer9(self.dropout(self.layer8(first)))
        return logits


def build_base_cnn(*, classes: int = 10, dropout: float = 0.5, width: float = 1.0) -> BaseCnn:
    """Build the base classifier with fresh weights.

    Args:
        classes: k, the number of logits.
        dropout: probability of dropping a unit between the fully connected layers while training.
        width: times the source's filters and units, rounded; 1 is the source's own network.

    Returns:
        The module in train mode, for images (n, 1, 28, 28); 734,602 parameters by default.

    Source: Thanthulage, table 1, after Sotgiu et al. 2020. Departures: the softmax is left to the
        loss; the place of dropout and the spread of the normal initialisation are not stated, so
        dropout sits after layers 7 and 8, and the standard deviation is He's sqrt(2 / fan_in),
        under which the network trains at the source's learning rate of 0.1. Fully connected layers
        start as PyTorch's do.

    Example:
        >>> sum(p.numel() for p in build_base_cnn().parameters())
        734602
    """
    return BaseCnn(classes=classes, dropout=dropout, width=width)


def _convolution(inputs: int, filters: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, filters, 3, padding=1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return nn.Sequential(convolution, nn.ReLU())
