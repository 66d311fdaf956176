"""The cells of study `neural-rejection`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.design import IMAGES, NAME, Design
from epsball.studies.neural_rejection.subjects import (
    NETS,
    PAIRED,
    SUBJECTS,
    UNCHECKED,
    VARIANTS,
    AttackVariant,
    Subject,
)

VERSION = 1
OURS, STRONGEST = "rejection", "strongest"
_SHAPE = (1, 28, 28)


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan the source's experiments, the subjects beside them, and our expensive attacks last."""
    if data.shape != _SHAPE:
        raise InvalidInput(
            f"study {NAME} needs images of {_SHAPE}, got {data.shape} from {data.name};"
            " take mnist or digits"
        )
    planner = _Planner(Design(options, data))
    cells = [*planner.nets(), *planner.source(), *planner.beside(), *planner.expensive_attacks()]
    return list({cell.hash: cell for cell in cells}.values())


@dataclass(frozen=True)
class _Planner:
    """Plans cells; planning one twice gives the same cell."""

    design: Design

    def nets(self) -> list[Cell]:
        """Plan the networks that are trained on clean images only, and their losses."""
        nets = [self._net(name) for name in ("source", "base")]
        losses = [self._cell("losses", {"net": net["net"]}, net.hash) for net in nets]
        return [cell for pair in zip(nets, losses, strict=True) for cell in pair]

    def source(self) -> list[Cell]:
        """Plan the source's attack, draw by draw, and its images on the bare network."""
        names = [name for name, subject in SUBJECTS.items() if subject.whole]
        draws = range(self.design.options.seeds)
        curves = [cell for draw in draws for name in names for cell in self._curves(name, draw)]
        limited = [cell for name in names if name != "none" for cell in self._limited(name)]
        strip = {"attack": self.design.attack, "all_eps": self.design.radii}
        strips = [self._about(name, "strip", 0, strip) for name in names]
        return [*(self._owner(name) for name in names), *curves, *limited, *strips]

    def beside(self) -> list[Cell]:
        """Plan the subjects that get the first draw only."""
        names = [name for name, subject in SUBJECTS.items() if not subject.whole]
        cells = [cell for name in names for cell in (self._owner(name), *self._curves(name, 0))]
        return [self._harvest("none"), self._harvest("dnr"), *cells]

    def expensive_attacks(self) -> list[Cell]:
        """Plan our attacks on the first draw: on all subjects, in variants on some."""
        if not self.design.options.searched:
            return []
        names = [name for name, subject in SUBJECTS.items() if subject.variants]
        ours = [self._strong(name, OURS) for name in SUBJECTS]
        variants = [self._variant(name, variant) for name in names for variant in VARIANTS]
        # on DNR, at every eps, it would take longer than the rest of the study
        quick = [name for name in names if not SUBJECTS[name].is_dnr]
        return [*ours, *variants, *(self._strong(name, STRONGEST) for name in quick)]

    def _net(self, name: str) -> Cell:
        """Plan a network's training; its parameters hold every setting that is not the default."""
        net, needs = NETS[name], list[Cell]()
        changed = self.design.training(net).model_dump(exclude_defaults=True, mode="json")
        if net.base:
            needs = [self._net("source")]
        elif net.retrained:
            needs = [self._net("base"), self._harvest("none")]
        parameters = {"net": name} | {f"train_{key}": value for key, value in changed.items()}
        return self._cell("train", parameters, *(cell.hash for cell in needs))

    def _owner(self, name: str) -> Cell:
        """Plan the cell that trains a subject's network, or fits its defence."""
        subject = SUBJECTS[name]
        return self._net(subject.net) if subject.defence is None else self._fit(subject)

    def _fit(self, subject: Subject) -> Cell:
        needs = [self._net(subject.net).hash]
        if subject.retrained:
            needs.append(self._harvest("dnr").hash)
        parameters: dict[str, Plain] = {
            "fit": subject.fit,
            "defence": subject.defence,
            "theta": self.design.one("theta"),
            "layers": " ".join(subject.layers),
        }
        if subject.layers:
            parameters |= {"gamma": self.design.one("gamma"), "c": self.design.one("c")}
        return self._cell("fit", parameters, *needs)

    def _harvest(self, name: str) -> Cell:
        """Plan the attack on training images; those that fool the model are kept."""
        images = self.design.options.limit or IMAGES
        return self._about(name, "harvest", 0, _at(images, self.design.middle) | self.design.search)

    def _curves(self, name: str, draw: int) -> list[Cell]:
        """Plan the source's attack on a subject, one cell per eps; DNR with a change gets three."""
        subject, radii = SUBJECTS[name], self.design.eps
        if subject.is_changed_dnr and not subject.retrained:
            near = min(radii, key=lambda eps: abs(eps - self.design.middle))
            radii = [eps for eps in radii if eps in {radii[0], near, radii[-1]}]
        return [self._curve(name, draw, eps) for eps in radii]

    def _curve(self, name: str, draw: int, eps: float) -> Cell:
        return self._about(name, "curve", draw, _at(self.design.images, eps) | self.design.search)

    def _limited(self, name: str) -> list[Cell]:
        """Plan to judge a defence on the images that were attacked on the bare network."""
        radii = [eps for eps in self.design.eps if eps > 0]
        curves = {eps: self._curve("none", 0, eps).hash for eps in radii}
        return [
            self._about(name, "limited", 0, _at(self.design.images, eps), curve)
            for eps, curve in curves.items()
        ]

    def _strong(self, name: str, attack: str) -> Cell:
        """Plan one of our attacks at all eps at once, the more expensive one on fewer images.

        An image that is fooled within a small ball is not attacked again within a larger one.
        """
        subject = SUBJECTS[name]
        parameters: dict[str, Plain] = {
            "images": self.design.few if attack == STRONGEST else self.design.images,
            "attack": attack,
            "restarts": 1,
            "all_eps": f"{self.design.middle:g}" if subject.is_changed_dnr else self.design.radii,
        }
        parameters |= UNCHECKED if subject.is_dnr else {}
        return self._about(name, "strong", 0, parameters)

    def _variant(self, name: str, variant: AttackVariant) -> Cell:
        """Plan an attack variant, at one eps."""
        at = _at(self.design.few, self.design.middle)
        named: dict[str, Plain] = {"rung": variant.name}
        if variant.density is not None:
            parameters = at | named | {"density_weight": variant.density, **PAIRED}
            return self._about(name, "crowded", 0, parameters)
        parameters = named | {"restarts": variant.restarts, **PAIRED}
        parameters |= at | {"attack": self.design.filled(variant.attack)}
        parameters |= UNCHECKED if SUBJECTS[name].is_dnr else {}
        return self._about(name, "ladder", 0, parameters)

    def _about(
        self, name: str, kind: str, draw: int, parameters: Mapping[str, Plain], *needs: str
    ) -> Cell:
        """Plan a cell that works on a subject."""
        owner, own = self._owner(name), {"subject": name} | dict(parameters)
        if SUBJECTS[name].defence is not None:
            own["around"] = owner.needs[0]
        return self._cell(kind, own, owner.hash, *needs, draw=draw)

    def _cell(self, kind: str, own: Mapping[str, Plain], *needs: str, draw: int = 0) -> Cell:
        common: dict[str, Plain] = {
            "data": self.design.data.name,
            "content": self.design.data.content,
            "train_images": self.design.options.train_limit,
        }
        parameters = dict(own) | common  # the label of a cell shows its first parameters
        return Cell(NAME, kind, parameters, draw, self.design.options.threads, VERSION, needs)


def _at(images: int, eps: float) -> dict[str, Plain]:
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
    if cell.kind in ("fit", "losses"):
        return float(trained * (_FIT_SECONDS if cell.kind == "fit" else 4e-4))
    gradients = _GRADIENTS.get(cell.kind, 100)
    bare = SUBJECTS[values["subject"]].defence is None
    gradient = 4e-4 if bare else _SECONDS.get(values["subject"], _DNR_SECONDS)
    return float(values.get("images", 64) * gradients * gradient)
