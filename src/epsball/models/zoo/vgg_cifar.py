"""The VGG-like network of the class imbalance study."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from epsball.models.zoo.byte_dropout import ByteDropout
from epsball.tensors import Images, Logits

BLOCKS = ((32, 32), (64, 64, 64), (128, 128, 128))  # filters of each convolution, block by block


class VggCifar(nn.Module):
    """Three convolutional blocks and two fully connected layers; see `build_vgg_cifar`."""

    def __init__(self, *, classes: int, block_dropout: float, dropout: float, width: float) -> None:
        super().__init__()
        blocks = [tuple(max(1, round(width * size)) for size in block) for block in BLOCKS]
        units = max(1, round(width * 512))
        inputs = (3, *(block[-1] for block in blocks))
        self.blocks = nn.Sequential(
            *(
                _block(first, filters, block_dropout)
                for first, filters in zip(inputs, blocks, strict=False)
            )
        )
        self.hidden = nn.Linear(inputs[-1] * 4 * 4, units)
        self.dropout = ByteDropout(dropout)
        self.output = nn.Linear(units, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                _initialise_as_keras(module)

    def forward(self, inputs: Images) -> Logits:
        """Return logits (n, classes) for images (n, 3, 32, 32) in [0, 1]."""
        features = self.blocks(inputs).flatten(1)  # (n, 2048)
        logits: Logits = self.output(self.dropout(self.hidden(features).relu()))
        return logits


def build_vgg_cifar(
    *, classes: int = 10, block_dropout: float = 0.25, dropout: float = 0.5, width: float = 1.0
) -> VggCifar:
    """Build the VGG-like network with fresh weights.

    Args:
        classes: k, the number of logits.
        block_dropout: probability of dropping a value after each block while training.
        dropout: the same after the hidden layer.
        width: times the source's filters and units, rounded; 1 is the source's own network.

    Returns:
        The module in train mode, for images (n, 3, 32, 32); 1,525,738 parameters by default.

    Source: Possas, thesis. Dropout rates are not stated; 0.25 and 0.5 are those of Keras' own
        CIFAR-10 example. Initialised as Keras does: Glorot uniform, biases zero.

    Example:
        >>> sum(p.numel() for p in build_vgg_cifar().parameters())
        1525738
    """
    return VggCifar(classes=classes, block_dropout=block_dropout, dropout=dropout, width=width)


def _block(inputs: int, filters: Sequence[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *filters)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    # the last ReLU comes behind the pooling: the same values and gradients, on a quarter of them
    return nn.Sequential(*layers[:-1], nn.MaxPool2d(2), nn.ReLU(), ByteDropout(dropout))


def _initialise_as_keras(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
