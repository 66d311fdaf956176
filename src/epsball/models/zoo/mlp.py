"""The multilayer perceptron of the red team, blue team study."""

from torch import nn

from epsball.tensors import Images, Logits

PIXELS = 28 * 28


class Mlp(nn.Module):
    """One hidden layer over flattened pixels; see `build_mlp` for the arguments."""

    def __init__(self, *, classes: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(PIXELS, hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, classes)

    def forward(self, inputs: Images) -> Logits:
        """Return logits (n, classes) for images (n, 1, 28, 28) in [0, 1]."""
        active = self.dropout(self.hidden(inputs.flatten(1)).relu())  # (n, hidden)
        logits: Logits = self.output(active)
        return logits


def build_mlp(*, classes: int = 10, hidden: int = 625, dropout: float = 0.5) -> Mlp:
    """Build the 784-625-10 perceptron with fresh weights.

    Args:
        classes: k, the number of logits.
        hidden: width of the hidden layer.
        dropout: probability of dropping a hidden unit while training.

    Returns:
        The module in train mode, for images (n, 1, 28, 28); 496,885 parameters by default.

    Source: Limaye, Tirupari and Rangan. The width and the dropout rate are not stated there: 625
        is the width of the tutorial it cites, 0.5 the usual rate. Initialised as PyTorch does.

    Example:
        >>> sum(p.numel() for p in build_mlp().parameters())
        496885
    """
    return Mlp(classes=classes, hidden=hidden, dropout=dropout)
