"""The cells of study `neural-rejection`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from epsball.errors import InvalidInput, unknown_name
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.subjects import (
    NETS,
    PAIRED,
    SUBJECTS,
    UNCHECKED,
    VARIANTS,
    AttackVariant,
    Net,
    Subject,
)
from epsball.training import TrainSettings, default_settings
from epsball.types import Precision

NAME, VERSION = "neural-rejection", 1
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
OURS, STRONGEST = "rejection", "strongest"
_SHAPE = (1, 28, 28)


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan the source's experiments, the subjects beside them, and our expensive attacks last."""
    if data.shape != _SHAPE:
        raise InvalidInput(
            f"study {NAME} needs images of {_SHAPE}, got {data.shape} from {data.name};"
            " take mnist or digits"
        )
    planner = Planner(options, data)
    cells = [*planner.bases(), *planner.source(), *planner.beside(), *planner.expensive_attacks()]
    return list({cell.hash: cell for cell in cells}.values())


@dataclass(frozen=True)
class Planner:
    """Plans cells; planning one twice gives the same cell.

    Args:
        options: of the study.
        data: facts about the images.
    """

    options: Options
    data: DataSummary

    @cached_property
    def attack(self) -> str:
        """Return the source's attack, with values for what it leaves unstated."""
        return self._filled(SOURCE_ATTACK)

    @cached_property
    def eps(self) -> list[float]:
        """Return all radii; 0 means clean images."""
        return [float(e or 0) for e in self.options.grid.get("eps", EPS)]

    def one(self, name: str) -> Plain:
        """Return the only value of a parameter: all subjects are compared at the same one."""
        values = self.options.grid.get(name, (KNOWN[name],))
        if len(values) > 1:
            raise InvalidInput(f"grid: study {NAME} takes one {name} at a time, got {len(values)}")
        return values[0]

    def bases(self) -> list[Cell]:
        """Plan the networks that are trained on clean images only, and their losses."""
        nets = [self.net(name) for name in ("source", "base")]
        return [one for net in nets for one in (net, self._losses(net))]

    def source(self) -> list[Cell]:
        """Plan the source's attack, draw by draw, and its images on the bare network."""
        names = [name for name, subject in SUBJECTS.items() if subject.whole]
        cells = [self.owner(name) for name in names]
        for repeat in range(self.options.seeds):
            cells += [c for name in names for c in self.curves(name, repeat)]
        shown = [c for name in names if name != "none" for c in self.shown(name)]
        return [*cells, *shown, *(self.strip(name) for name in names)]

    def beside(self) -> list[Cell]:
        """Plan the subjects that get the first draw only."""
        names = [name for name, subject in SUBJECTS.items() if not subject.whole]
        asked = [self.harvest(name) for name in ("none", "dnr")]
        return [*asked, *(c for name in names for c in (self.owner(name), *self.curves(name, 0)))]

    def expensive_attacks(self) -> list[Cell]:
        """Plan our attacks on the first draw: on all subjects, in variants on some."""
        if not self.options.searched:
            return []
        names = [name for name, subject in SUBJECTS.items() if subject.variants]
        ours = [self.strong(name, OURS) for name in SUBJECTS]
        variants = [self.variant(name, variant) for name in names for variant in VARIANTS]
        # on DNR, at every eps, it would take longer than the rest of the study
        quick = [name for name in names if SUBJECTS[name].defence != "dnr"]
        return [*ours, *variants, *(self.strong(name, STRONGEST) for name in quick)]

    def net(self, name: str) -> Cell:
        """Plan a network's training; its parameters hold every setting that is not the default."""
        net = NETS[name]
        changed = self._training(net).model_dump(exclude_defaults=True, mode="json")
        parameters = {"net": name} | {f"train_{key}": value for key, value in changed.items()}
        if net.base:
            return self.cell("train", parameters, self.net("source").hash)
        if net.retrained:
            return self.cell("train", parameters, self.net("base").hash, self.harvest("none").hash)
        return self.cell("train", parameters)

    def owner(self, name: str) -> Cell:
        """Plan the cell that trains a subject's network, or fits its defence."""
        subject = SUBJECTS[name]
        return self.net(subject.net) if subject.defence is None else self._fit(subject)

    def harvest(self, name: str) -> Cell:
        """Plan the attack on training images; those that fool the model are kept."""
        images = self.options.limit or _IMAGES
        return self._about(name, "harvest", 0, _on(images, self._middle) | self._search)

    def curves(self, name: str, repeat: int) -> list[Cell]:
        """Plan the source's attack on a subject, one cell per eps; DNR with a change gets three."""
        subject, radii = SUBJECTS[name], self.eps
        if subject.changed and not subject.retrained:
            near = min(self.eps, key=lambda eps: abs(eps - self._middle))
            radii = [eps for eps in self.eps if eps in {self.eps[0], near, self.eps[-1]}]
        return [self._curve(name, repeat, eps) for eps in radii]

    def shown(self, name: str) -> list[Cell]:
        """Plan to give a defence the images that were attacked on the bare network."""
        attacked = [(eps, self._curve("none", 0, eps)) for eps in self.eps if eps > 0]
        return [
            self._about(name, "limited", 0, _on(self._images, eps), one.hash)
            for eps, one in attacked
        ]

    def strip(self, name: str) -> Cell:
        """Plan the images of one digit."""
        return self._about(name, "strip", 0, {"attack": self.attack, "all_eps": self._radii})

    def strong(self, name: str, attack: str) -> Cell:
        """Plan one of our attacks at all eps at once, the more expensive one on fewer images.

        An image that is fooled within a small ball is not attacked again within a larger one.
        """
        few = min(self.options.searched, self._images)
        count = few if attack == STRONGEST else self._images
        radii = f"{self._middle:g}" if SUBJECTS[name].changed else self._radii
        more: dict[str, Plain] = {"attack": attack, "restarts": 1, "all_eps": radii}
        more |= UNCHECKED if SUBJECTS[name].defence == "dnr" else {}
        return self._about(name, "strong", 0, {"images": count} | more)

    def variant(self, name: str, variant: AttackVariant) -> Cell:
        """Plan an attack variant, at one eps."""
        count = min(self.options.searched, self._images)
        more: dict[str, Plain] = {"rung": variant.name, "restarts": variant.restarts}
        more |= PAIRED
        if variant.density is not None:
            more = {"rung": variant.name, "density_weight": variant.density, **PAIRED}
            return self._about(name, "crowded", 0, _on(count, self._middle) | more)
        more |= _on(count, self._middle) | {"attack": self._filled(variant.attack)}
        more |= UNCHECKED if SUBJECTS[name].defence == "dnr" else {}
        return self._about(name, "ladder", 0, more)

    def cell(
        self, kind: str, parameters: Mapping[str, Plain], *needs: str, repeat: int = 0
    ) -> Cell:
        """Plan any cell."""
        common: dict[str, Plain] = {
            "data": self.data.name,
            "content": self.data.content,
            "train_images": self.options.train_limit,
        }
        whole = dict(parameters) | common  # the label of a cell shows its first parameters
        return Cell(NAME, kind, whole, repeat, self.options.threads, VERSION, needs)

    @property
    def _search(self) -> dict[str, Plain]:
        precision = self.one("precision")
        if precision not in _PRECISIONS:
            raise unknown_name("precision", str(precision), _PRECISIONS)
        return {"attack": self.attack, "precision": precision}

    def _filled(self, attack: str) -> str:
        """Return an attack with the study's steps and tolerance."""
        return attack.format(steps=self.one("steps"), tolerance=self.one("tolerance"))

    def _losses(self, net: Cell) -> Cell:
        return self.cell("losses", {"net": net.parameters["net"]}, net.hash)

    def _curve(self, name: str, repeat: int, eps: float) -> Cell:
        return self._about(name, "curve", repeat, _on(self._images, eps) | self._search)

    def _about(
        self, name: str, kind: str, repeat: int, more: Mapping[str, Plain], *needs: str
    ) -> Cell:
        """Plan a cell that works on a subject."""
        owner, parameters = self.owner(name), {"subject": name} | dict(more)
        if SUBJECTS[name].defence is not None:
            parameters["around"] = owner.needs[0]
        return self.cell(kind, parameters, owner.hash, *needs, repeat=repeat)

    def _fit(self, subject: Subject) -> Cell:
        needs = [self.net(subject.net).hash]
        if subject.retrained:
            needs.append(self.harvest("dnr").hash)
        parameters: dict[str, Plain] = {
            "fit": subject.fit,
            "defence": subject.defence,
            "theta": self.one("theta"),
            "layers": " ".join(subject.layers),
        }
        if subject.layers:
            parameters |= {"gamma": self.one("gamma"), "c": self.one("c")}
        return self.cell("fit", parameters, *needs)

    def _training(self, net: Net) -> TrainSettings:
        count = min(self.options.train_limit or self.data.train, self.data.train)
        own: dict[str, Any] = {k: self.one(k) for k in ("lr", "batch_size", "dropout", "epochs")}
        own |= {"optimizer": "sgd", "momentum": 0.9, "decay": 1e-6}
        given: dict[str, Any] = dict(net.settings)
        given |= {"eps": self.one("train_eps")} if net.attacked else {}
        # the last weights, without watching: the other cells evaluate every network
        given |= {"validation": 0.0, "watch_every": 0}
        given |= {} if self.options.epochs is None else {"epochs": self.options.epochs}
        if net.proposed:
            return default_settings("base-cnn", count, by_recipe=False, **given)
        return TrainSettings(**{**own, **given})

    @property
    def _radii(self) -> str:
        return " ".join(f"{eps:g}" for eps in self.eps if eps > 0)

    @property
    def _images(self) -> int:
        return min(self.options.limit or _IMAGES, self.data.test)

    @property
    def _middle(self) -> float:
        return float(self.one("middle_eps") or 0)


_PRECISIONS = ("fast", *get_args(Precision))
_IMAGES = 1000  # of a draw, and of a harvest


def _on(images: int, eps: float) -> dict[str, Plain]:
    return {"images": images, "eps_asked": eps}


# gradients of an image by kind of cell; a pass through DNR costs about fifty of the network
_GRADIENTS = {"curve": 60, "limited": 1, "harvest": 60, "strip": 1, "strong": 300, "ladder": 150}
_SECONDS = {"none": 4e-4, "msp": 4e-4, "nr": 2e-3}  # of one gradient, by subject; others: DNR
_DNR_SECONDS, _FIT_SECONDS = 2e-2, 2e-2  # of a gradient; of fitting, per image


def cost(cell: Cell, data: DataSummary) -> float:
    """Return the expected seconds of a cell on one core of a Xeon at 2.1 GHz."""
    values: Any = cell.parameters
    trained = min(values["train_images"] or data.train, data.train)
    if cell.kind == "train":
        times = 8 if values.get("train_recipe") == "pgd" else 1
        return float(trained * (values.get("train_epochs") or 50) * times * 4e-4)
    if cell.kind == "fit":
        return float(trained * _FIT_SECONDS)
    if cell.kind == "losses":
        return float(trained * 4e-4)
    gradients = _GRADIENTS.get(cell.kind, 100)
    bare = SUBJECTS[values["subject"]].defence is None
    gradient = 4e-4 if bare else _SECONDS.get(values["subject"], _DNR_SECONDS)
    return float(values.get("images", 64) * gradients * gradient)
