"""The values of study `neural-rejection`: its grid, its attack, its trainings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from epsball.errors import InvalidInput, unknown_name
from epsball.studies.core.cell import Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.subjects import Net
from epsball.training import TrainSettings, default_settings
from epsball.types import Precision

NAME = "neural-rejection"
EPS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
KNOWN: Mapping[str, Plain] = {
    "eps": 3.0,
    "lr": 0.1,
    "epochs": 50,
    "batch_size": 128,
    "dropout": 0.5,
    "theta": 0.9,
    "gamma": 0.01,
    "c": 0.1,
    "train_eps": 2.0,
    "middle_eps": 3.0,
    "steps": 50,
    "tolerance": 0.01,
    "precision": "fast",
}
SOURCE_ATTACK = (
    "rejection:objective=reject-hinge,scale=probabilities,tolerance={tolerance:g},steps={steps:g},"
    "keep=last"
)
IMAGES = 1000  # images of a draw, and of a harvest
_PRECISIONS = ("fast", *get_args(Precision))


@dataclass(frozen=True)
class Design:
    """The values that cells are planned with.

    Args:
        options: of the study.
        data: facts about the images.
    """

    options: Options
    data: DataSummary

    def one(self, name: str) -> Plain:
        """Return the only value of a parameter: all subjects are compared at the same one."""
        values = self.options.grid.get(name, (KNOWN[name],))
        if len(values) > 1:
            raise InvalidInput(f"grid: study {NAME} takes one {name} at a time, got {len(values)}")
        return values[0]

    @cached_property
    def eps(self) -> list[float]:
        """Return all radii; 0 means clean images."""
        return [float(e or 0) for e in self.options.grid.get("eps", EPS)]

    @property
    def radii(self) -> str:
        """Return the radii above 0, as a cell's parameter."""
        return " ".join(f"{eps:g}" for eps in self.eps if eps > 0)

    @property
    def middle(self) -> float:
        """Return the radius of the attack variants and of the examples for retraining."""
        return float(self.one("middle_eps") or 0)

    @property
    def images(self) -> int:
        """Return the number of images of a draw."""
        return min(self.options.limit or IMAGES, self.data.test)

    @property
    def few(self) -> int:
        """Return the number of images for the expensive attacks."""
        return min(self.options.searched, self.images)

    @cached_property
    def attack(self) -> str:
        """Return the source's attack, with values for what it leaves unstated."""
        return self.filled(SOURCE_ATTACK)

    @property
    def search(self) -> dict[str, Plain]:
        """Return the source's attack and the precision of its search, as a cell's parameters."""
        precision = self.one("precision")
        if precision not in _PRECISIONS:
            raise unknown_name("precision", str(precision), _PRECISIONS)
        return {"attack": self.attack, "precision": precision}

    def filled(self, attack: str) -> str:
        """Return an attack with the study's steps and tolerance."""
        return attack.format(steps=self.one("steps"), tolerance=self.one("tolerance"))

    def training(self, net: Net) -> TrainSettings:
        """Return the settings of a training."""
        # the last weights, without watching: the other cells evaluate every network
        given: dict[str, Any] = {**net.settings, "validation": 0.0, "watch_every": 0}
        if self.options.epochs is not None:
            given["epochs"] = self.options.epochs
        if net.adversarial:
            count = min(self.options.train_limit or self.data.train, self.data.train)
            given["eps"] = self.one("train_eps")
            return default_settings("base-cnn", count, by_recipe=False, **given)
        own: dict[str, Any] = {k: self.one(k) for k in ("lr", "batch_size", "dropout", "epochs")}
        own |= {"optimizer": "sgd", "momentum": 0.9, "decay": 1e-6}
        return TrainSettings(**{**own, **given})
