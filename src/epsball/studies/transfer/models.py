"""The models of study `transfer`: trained on a subset, kept as files, and opened again."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from epsball.data import to_unit
from epsball.errors import InvalidInput
from epsball.files import write_atomically
from epsball.identity import model_hash
from epsball.models import load_model
from epsball.models.zoo.base_cnn import build_base_cnn
from epsball.models.zoo.resnet_cifar import build_resnet_cifar
from epsball.models.zoo.vgg_cifar import build_vgg_cifar
from epsball.studies.core.cell import Cell
from epsball.studies.core.nets import train_net, trained_net
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace, part_of
from epsball.training import TrainSettings, fresh_weights
from epsball.types import Dataset

_FILE = "model.skops"
NETWORKS = ("dnn", "resnet", "vgg", "resnet-adversarial")


def subset_of(cell: Cell, workspace: Workspace) -> Dataset:
    """Return a cell's training images: subsets of one repetition are disjoint."""
    values: Any = cell.parameters
    whole = workspace.train_set(values["train_images"])
    seed = cell.shared_seed("content", "train_images")
    order = np.random.default_rng(seed).permutation(len(whole))
    number, size = ord(values["subset"]) - ord("A"), values["subset_images"]
    return part_of(whole, np.sort(order[number * size : (number + 1) * size]))


def train(cell: Cell, workspace: Workspace) -> list[Row]:
    """Train a cell's model."""
    values: Any = cell.parameters
    images = subset_of(cell, workspace)
    if values["technique"] in NETWORKS:
        with fresh_weights(cell.seed):
            model = _network(cell, workspace)
        chosen: dict[str, Any] = {"epochs": values["epochs"], "seed": cell.seed}
        if values["technique"] == "resnet-adversarial":
            chosen |= {"recipe": "fast", "eps": values["eps"]}
        settings = TrainSettings(validation=0.0, watch_every=0, device=workspace.device, **chosen)
        rows = train_net(workspace, cell, model, images, settings)
        return [{**rows[0], "weights_sha256": model_hash(model)}, *rows[1:]]
    flat, labels = _flat(images)
    estimator = _estimator(cell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a solver has stopped is seen in its accuracy
        estimator.fit(flat, labels)
    file = workspace.model(cell.hash) / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda beside: _dump(estimator, beside))
    accuracy = float((estimator.predict(flat) == labels).mean())
    wrapped = load_model(f"sklearn:{file}").model
    return [{"train_accuracy": accuracy, "weights_sha256": model_hash(wrapped, file)}]


def opened(workspace: Workspace, hashed: str, like: Cell) -> nn.Module:
    """Return the trained model of a cell that is done, in eval mode.

    Args:
        workspace: the study's.
        hashed: the hash of the cell that trained it.
        like: a cell with the technique and width of the model.

    Raises:
        InvalidInput: its file is missing.
    """
    values: Any = like.parameters
    if values["technique"] in NETWORKS:
        return trained_net(workspace, hashed, _network(like, workspace))
    return _loaded(workspace.model(hashed) / _FILE, workspace, hashed)


def _loaded(file: Path, workspace: Workspace, hashed: str) -> nn.Module:
    if not file.exists():
        raise InvalidInput(
            f"study: {file} is missing: delete {workspace.out / 'rows' / hashed}.parquet too, and "
            "give the command again"
        )
    model: Any = load_model(f"sklearn:{file}").model
    module: nn.Module = model
    return module


def predict(model: nn.Module, images: Tensor, batch_size: int = 500) -> NDArray[np.int64]:
    """Return labels of images, (n,)."""
    with torch.no_grad():
        parts = [model(some).argmax(1).cpu() for some in torch.split(images, batch_size)]
    labels: NDArray[np.int64] = torch.cat(parts).numpy()
    return labels


def majority(votes: Sequence[NDArray[np.int64]], classes: int) -> NDArray[np.int64]:
    """Return the label with the most votes, the lowest of several, (n,)."""
    counts = np.stack([np.sum([vote == k for vote in votes], axis=0) for k in range(classes)])
    labels: NDArray[np.int64] = counts.argmax(0)
    return labels


def _network(cell: Cell, workspace: Workspace) -> nn.Module:
    values: Any = cell.parameters
    classes = len(workspace.test_set().class_names)
    if values["technique"] == "dnn":
        return build_base_cnn(classes=classes, width=values["width"])
    if values["technique"] == "vgg":
        return build_vgg_cifar(classes=classes, width=values["width"])
    return build_resnet_cifar(classes=classes)


def _estimator(cell: Cell) -> Any:  # noqa: ANN401 - untyped package
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import LinearSVC
    from sklearn.tree import DecisionTreeClassifier

    values: Any = cell.parameters
    return {
        "lr": LogisticRegression(max_iter=100),
        "svm": LinearSVC(C=0.05, max_iter=300, random_state=0),
        "dt": DecisionTreeClassifier(random_state=cell.seed),
        "knn": KNeighborsClassifier(values["neighbours"], algorithm="brute"),
    }[values["technique"]]


def _flat(images: Dataset) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    pixels = to_unit(images.read(np.arange(len(images))))
    return pixels.flatten(1).numpy(), images.labels


def _dump(estimator: Any, file: Path) -> None:  # noqa: ANN401 - untyped package
    import skops.io

    with file.open("wb") as stream:
        skops.io.dump(estimator, stream)
