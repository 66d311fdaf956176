"""Scikit-learn's digits, and a small network that was trained on them for a few seconds."""

from collections.abc import Callable, Iterator

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from epsball.errors import EpsballError


class Digits(nn.Module):
    """Three hidden layers with names, for images (n, 1, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.first = nn.Sequential(nn.Linear(128, 32), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(32, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(self.pool(self.conv(inputs)).flatten(1))
        scores: Tensor = self.output(self.dropout(self.second(self.dropout(hidden))))
        return scores


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def digits() -> tuple[Tensor, Tensor]:
    dataset = load_digits()
    images = torch.tensor(dataset.images[:, None] / 16, dtype=torch.float32)
    return images, torch.tensor(dataset.target)


@pytest.fixture(scope="session")
def net(digits: tuple[Tensor, Tensor]) -> nn.Module:
    """A network in eval mode; tests must leave it as it is."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images, labels = digits
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Digits().train()
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(12):
            order = torch.randperm(1200)
            for at in range(0, 1200, 64):
                rows = order[at : at + 64]
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
                loss.backward()  # type: ignore[no-untyped-call]  # torch's
                optimizer.step()
    optimizer.zero_grad()
    torch.set_num_threads(threads)
    return model.eval()


@pytest.fixture
def refusal() -> Callable[[Callable[[], object]], str]:
    """The message of the error that a call raises: one of ours, and one line."""

    def message(call: Callable[[], object]) -> str:
        with pytest.raises(EpsballError) as caught:
            call()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return message
