"""The networks of the table and how each is trained; weights are kept, so that a run continues."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from epsball.attacks import fgsm, pgd
from epsball.data import choose, load_data, to_unit
from epsball.models import load_model

_BATCH = 100


@dataclass(frozen=True)
class Case:
    """A network and the ball in which it is judged.

    Args:
        about: in words.
        data: name of the data set.
        build: makes the untrained network; None: the zoo's own.
        eps: radius of the verdict, in linf.
        classes: the first so many of the data set.
        attack: what it is trained on: "", "fgsm" or "pgd".
        trained_at: radius of that attack.
        images: training images.
        epochs: passes over them.
        wrap: hides the gradient of the trained network; None: it is judged as it is.
        target: cost of AutoAttack over ours, at least.
        seed: of initial weights and order.
    """

    about: str
    data: str
    build: Callable[[int], nn.Module] | None
    eps: float
    classes: int = 10
    attack: str = ""
    trained_at: float = 0.0
    images: int = 12_000
    epochs: int = 3
    wrap: Callable[[nn.Module], nn.Module] | None = None
    target: float = 0.0
    seed: int = 0


def digits_bn(classes: int) -> nn.Module:
    """Two convolutions with BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, classes),
    )  # fmt: skip


def digits_strided(classes: int) -> nn.Module:
    """The small network of Wong et al. 2020: strides instead of pooling, 0.17 million weights."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 49, 100), nn.ReLU(), nn.Linear(100, classes),
    )  # fmt: skip


def small_cifar(classes: int) -> nn.Module:
    """Three convolutions with pooling."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 16, classes),
    )  # fmt: skip


class PreActBlock(nn.Module):
    """BatchNorm and ReLU before each of two convolutions, and a shortcut; He et al. 2016."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(channels), nn.BatchNorm2d(out)
        self.into = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.onto = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.short = nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the block's output."""
        active = functional.relu(self.first(inputs))
        inner = functional.relu(self.second(self.into(active)))
        output: Tensor = self.onto(inner) + self.short(active)
        return output


def preact_resnet(classes: int) -> nn.Module:
    """The form of PreActResNet-18, with a quarter of its channels."""
    blocks = [PreActBlock(16, 16, 1), PreActBlock(16, 16, 1)]
    for width in (32, 64, 128):
        blocks += [PreActBlock(width // 2, width, 2), PreActBlock(width, width, 1)]
    head = (nn.BatchNorm2d(128), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    return nn.Sequential(stem, *blocks, *head, nn.Linear(128, classes))


def wide_resnet(classes: int) -> nn.Module:
    """The form of a WideResNet, WRN-10-2."""
    blocks = [PreActBlock(16, 32, 1), PreActBlock(32, 64, 2), PreActBlock(64, 128, 2)]
    head = (nn.BatchNorm2d(128), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    return nn.Sequential(stem, *blocks, *head, nn.Linear(128, classes))


class Masked(nn.Module):
    """Rounds its input to 16 levels, and makes its logits so large that softmax is flat."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores."""
        rounded = inputs + ((inputs * 15).round() / 15 - inputs).detach()
        scores: Tensor = 100 * self.model(rounded)
        return scores


CASES: dict[str, Case] = {
    "mnist-undefended": Case(
        "undefended, MNIST, BatchNorm", "mnist", digits_bn, 0.1, target=25
    ),
    "cifar-undefended": Case(
        "undefended, CIFAR-10, PreActResNet", "cifar10", preact_resnet, 2 / 255, images=20_000,
        epochs=4, target=25,
    ),
    "cifar-robust": Case(
        "PGD-trained, CIFAR-10, WideResNet", "cifar10", wide_resnet, 8 / 255, attack="pgd",
        trained_at=8 / 255, images=20_000, epochs=4, target=15,
    ),
    "mnist-robust": Case(
        "PGD-trained, MNIST, zoo:base-cnn-robust", "mnist", None, 0.3, target=8
    ),
    "mnist-strided": Case(
        "PGD-trained, MNIST, strides", "mnist", digits_strided, 0.2, attack="pgd", trained_at=0.2,
        images=20_000, epochs=5, target=8,
    ),
    "three-classes": Case(
        "three classes of CIFAR-10", "cifar10", small_cifar, 2 / 255, classes=3, epochs=4, target=8
    ),
    "masked": Case(
        "masked: rounded input, large logits", "mnist", digits_bn, 0.1, wrap=Masked, target=6
    ),
}  # fmt: skip
COLLAPSED = {
    f"collapsed-{seed}": Case(
        "FGSM-trained", "mnist", digits_bn, 0.3, attack="fgsm",
        trained_at=0.3, seed=seed,
    )
    for seed in range(10)
}  # fmt: skip


def open_case(name: str, folder: Path, count: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a case's network in eval mode, test images (n, c, h, w) and labels (n,)."""
    return open_network(name, (CASES | COLLAPSED)[name], folder, count)


def open_network(
    name: str, case: Case, folder: Path, count: int
) -> tuple[nn.Module, Tensor, Tensor]:
    """Do what `open_case` does for a case that is in no table; its weights are kept as name."""
    test = load_data(case.data)
    kept = choose(test.labels, len(test.labels) if case.classes < 10 else count)
    kept = kept[test.labels[kept] < case.classes][:count]
    images, labels = to_unit(test.read(kept)), torch.from_numpy(test.labels[kept])
    model = _network(name, case, folder)
    if case.wrap is not None:
        model = case.wrap(model)
    return model.eval().requires_grad_(requires_grad=False), images, labels


def _network(name: str, case: Case, folder: Path) -> nn.Module:
    if case.build is None:
        model = load_model("zoo:base-cnn-robust").model
        assert isinstance(model, nn.Module)  # noqa: S101 - what the zoo gives
        return model
    torch.manual_seed(case.seed)
    model, file = case.build(case.classes), folder / f"{name}.safetensors"
    if not file.is_file():
        _train(model, case)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(model.state_dict(), file)
    model.load_state_dict(load_file(file))
    return model


def _train(model: nn.Module, case: Case) -> None:
    train = load_data(case.data, split="train")
    rows = (train.labels < case.classes).nonzero()[0][: case.images]
    images, labels = to_unit(train.read(rows)), torch.from_numpy(train.labels[rows])

    def attacked(inputs: Tensor, truth: Tensor, epoch: int) -> Tensor:
        if case.attack == "fgsm":
            return fgsm(model.train(), inputs, truth, eps=case.trained_at)
        if case.attack == "pgd":
            eps = case.trained_at * min(1.0, (epoch + 1) / 2)  # a small ball first
            return pgd(model.eval(), inputs, truth, eps=eps, steps=5)
        return inputs

    fit(model, images, labels, epochs=case.epochs, attacked=attacked)


def fit(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    attacked: Callable[[Tensor, Tensor, int], Tensor],
) -> None:
    """Train a network by Adam on what an attack makes of each batch.

    Args:
        model: changed in place.
        images: (n, c, h, w).
        labels: (n,).
        epochs: passes over the images.
        attacked: (inputs, labels, epoch) to the inputs that are trained on.
    """
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(epochs):
        for chosen in torch.randperm(len(images)).split(_BATCH):
            truth = labels[chosen]
            inputs = attacked(images[chosen], truth, epoch)
            loss = functional.cross_entropy(model.train()(inputs), truth)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
