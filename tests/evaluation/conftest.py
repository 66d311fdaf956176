"""A small model on small images, good enough to be worth attacking."""

import pytest
import torch
from torch import Tensor, nn

CLASSES, SIDE = 5, 6


def sample_images(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return noisy images with one bright row, whose number is the label; uint8 and int64."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    images = torch.randint(0, 100, (count, 1, SIDE, SIDE), generator=generator)
    images[torch.arange(count), 0, labels] += 110
    return images.to(torch.uint8), labels


def fit(model: nn.Module, seed: int = 0) -> nn.Module:
    images, labels = sample_images(200, seed=99)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(images.float() / 255), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    optimizer.zero_grad()
    return model.eval()


@pytest.fixture(scope="session")
def model() -> nn.Module:
    """A fitted network with batch norm inside, in eval mode."""
    torch.manual_seed(0)
    return fit(
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * SIDE * SIDE, CLASSES),
        )
    )


@pytest.fixture(scope="session")
def data() -> tuple[Tensor, Tensor]:
    """Sixty labelled images."""
    return sample_images(60)
