"""The work of study `label-efficient`: choosing images, labelling them, training, testing."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from epsball.attacks import deepfool
from epsball.data import to_unit
from epsball.geometry import size
from epsball.models import load_model
from epsball.studies.core.cell import Cell
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace

_BATCH = 64


def _curve(cell: Cell, workspace: Workspace) -> list[Row]:
    """Label images round by round, and measure a fresh network after each round."""
    values: Any = cell.parameters
    train, test = workspace.train_set(values["train_images"]), workspace.test_set(values["images"])
    images = to_unit(test.read(np.arange(len(test))))
    truth = torch.from_numpy(test.labels)
    # the first images are the same for all ways of choosing
    generator = np.random.default_rng(cell.shared_seed("content", "train_images", "first"))
    order = generator.permutation(len(train))
    labelled, rest = order[: values["first"]], order[values["first"] :]
    rows: list[Row] = []
    for number in range(values["rounds"]):
        pixels = to_unit(train.read(labelled))
        model = _fitted(cell, workspace, pixels, torch.from_numpy(train.labels[labelled]))
        right = int((_scores(model, images).argmax(1) == truth).sum())
        rows.append(
            {
                "mode": "round",
                "round": number,
                "labels": len(labelled),
                "n": len(truth),
                "right": right,
            }
        )
        candidates = rest[: values["candidates"]]
        doubt = DOUBTS[values["choice"]](model, to_unit(train.read(candidates)))
        chosen = np.sort(np.argsort(-doubt, kind="stable")[: values["more"]])
        labelled = np.concatenate((labelled, candidates[chosen]))
        rest = generator.permutation(
            np.concatenate((np.delete(candidates, chosen), rest[len(candidates) :]))
        )
    return rows


def by_chance(model: nn.Module, images: Tensor) -> NDArray[np.float64]:  # noqa: ARG001 - one signature
    """Doubt all images alike: candidates come in random order."""
    return np.zeros(len(images))


def by_entropy(model: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """Return the entropy of the probabilities, (n,)."""
    logs = _scores(model, images).double().log_softmax(1)
    entropy: NDArray[np.float64] = (-logs.exp() * logs).sum(1).numpy()
    return entropy


def by_margin(model: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """Return minus the difference of the two largest scores, (n,)."""
    first, second = _scores(model, images).double().topk(2, dim=1).values.unbind(1)
    doubt: NDArray[np.float64] = (second - first).numpy()
    return doubt


def by_distance(model: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """Return minus the distance to the border that DeepFool finds, in l2, (n,)."""
    parts = []
    for some in torch.split(images, 250):
        own = _scores(model, some).argmax(1)
        parts.append(-size(deepfool(model, some, own, norm="l2", steps=10) - some, "l2"))
    doubt: NDArray[np.float64] = torch.cat(parts).double().numpy()
    return doubt


DOUBTS: Mapping[str, Callable[[nn.Module, Tensor], NDArray[np.float64]]] = {
    "random": by_chance,
    "entropy": by_entropy,
    "margin": by_margin,
    "deepfool": by_distance,
}


def _scores(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(some) for some in torch.split(images, 500)])


def _fitted(cell: Cell, workspace: Workspace, pixels: Tensor, labels: Tensor) -> nn.Module:
    """Train a network with the same first weights in every round."""
    values: Any = cell.parameters
    classes = len(workspace.test_set().class_names)
    with torch.random.fork_rng([]):
        torch.manual_seed(cell.shared_seed("content", "architecture"))
        model: Any = load_model(
            values["architecture"], classes=classes, require_weights=False
        ).model
        network: nn.Module = model
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        network.train()
        for _ in range(values["epochs"]):
            for rows in torch.split(torch.randperm(len(pixels)), _BATCH):
                optimizer.zero_grad(set_to_none=True)
                loss = cross_entropy(network(pixels[rows]), labels[rows])
                torch.autograd.backward(loss)
                optimizer.step()
    return network.eval()


WORKS: Mapping[str, CellWork] = {"curve": _curve}
