"""Small networks of the usual kinds, trained once and kept in a folder."""

from collections.abc import Callable
from pathlib import Path

import torch
from benchmarks.drawn_pairs.tasks import Task
from torch import Tensor, nn
from torch.nn import functional

STEPS, BATCH = 400, 64


class Residual(nn.Module):
    """A residual block with batch norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return maps of the same shape."""
        return inputs + self.second(functional.relu(self.norm(self.first(inputs))))


class Vit(nn.Module):
    """A transformer of one block with GELU over patches, class token and position embedding."""

    def __init__(self, channels: int, side: int, classes: int, width: int = 32) -> None:
        super().__init__()
        patch = 7 if side % 7 == 0 else 8
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 1 + (side // patch) ** 2, width) * 0.02)
        self.block = nn.TransformerEncoderLayer(
            width, 4, 64, 0.1, "gelu", batch_first=True, norm_first=True
        )
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (n, classes)."""
        tokens = self.patches(inputs).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(tokens.shape[0], -1, -1), tokens], 1) + self.position
        return self.head(self.block(tokens)[:, 0])


def linear(channels: int, side: int, classes: int) -> nn.Module:
    """Build one matrix over the pixels."""
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * side**2, classes))


def perceptron(channels: int, side: int, classes: int) -> nn.Module:
    """Build a hidden layer with dropout."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * side**2, 128),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(128, classes),
    )


def convolutional(channels: int, side: int, classes: int) -> nn.Module:
    """Build two convolutions, pooling, dropout and two matrices."""
    rest = (side // 4) ** 2 * 16
    return nn.Sequential(
        nn.Conv2d(channels, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(rest, 48),
        nn.ReLU(),
        nn.Linear(48, classes),
    )


def residual(channels: int, _: int, classes: int) -> nn.Module:
    """Build two residual blocks with batch norm."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Residual(16),
        Residual(16),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, classes),
    )


def mobile(channels: int, _: int, classes: int) -> nn.Module:
    """Build an inverted bottleneck: depthwise convolution, batch norm, hard swish."""
    return nn.Sequential(
        nn.Conv2d(channels, 12, 3, 2, 1, bias=False),
        nn.BatchNorm2d(12),
        nn.Hardswish(),
        nn.Conv2d(12, 36, 1, bias=False),
        nn.BatchNorm2d(36),
        nn.ReLU6(),
        nn.Conv2d(36, 36, 3, 2, 1, groups=36, bias=False),
        nn.BatchNorm2d(36),
        nn.Hardswish(),
        nn.Conv2d(36, 24, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, classes),
    )


ARCHITECTURES: dict[str, Callable[[int, int, int], nn.Module]] = {
    "linear": linear,
    "perceptron": perceptron,
    "cnn": convolutional,
    "resnet": residual,
    "vit": Vit,
}


def trained(task: Task, architecture: str, folder: Path) -> nn.Module:
    """Return a network in eval mode that takes images in [0, 1], trained at the first call."""
    torch.manual_seed(0)
    net = ARCHITECTURES[architecture](task.shape[0], task.shape[1], task.classes)
    file = folder / f"{task.name}-{architecture}.pt"
    if file.exists():
        net.load_state_dict(torch.load(file, weights_only=True))
        return net.eval()
    images, labels = torch.from_numpy(task.train), torch.from_numpy(task.train_labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    net.train()
    for _ in range(STEPS):
        rows = torch.randint(len(images), (BATCH,))
        loss = functional.cross_entropy(net(images[rows].float() / 255), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), file)
    return net.eval()
