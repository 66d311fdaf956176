"""A training run's directory: what it holds, how it is continued.

    training.json           what the run is (see manifest.py), and its epochs
    checkpoint.safetensors  everything that the next epoch depends on: model.*, optimizer.*,
                            best.* (the best epoch's weights), ema.* (averaged weights), memory.*
                            (what the recipe keeps), and the history as metadata
    model.safetensors       the best weights, once the run is over

and what `staging.py` says, for recipes that make examples once.

The checkpoint is the truth; training.json repeats its epochs for people and reports.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from epsball.models.metadata import class_names_metadata, preprocessing_metadata
from epsball.models.preprocess import without_preprocessing
from epsball.training.run.checkpoints import read_tensors, state_of, write_tensors
from epsball.training.run.history import EpochRow, History
from epsball.training.run.manifest import open_manifest, write_manifest
from epsball.training.run.results import Preparation, TrainResult
from epsball.training.setup.average import Average
from epsball.training.setup.context import TrainingContext
from epsball.training.setup.modes import dropping, evaluating
from epsball.training.setup.optimizers import build_optimizer, optimizer_tensors, restore_optimizer
from epsball.training.setup.placement import Placement, placed
from epsball.types import Finding

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "model.safetensors"
_BEHIND = "model."  # before the names of a module that stands behind its preprocessing


class TrainRun:
    """A run that is under way, or over.

    Attributes:
        context: what it works with.
        out: its directory.
        placement: where and how it computes.
        preparation: what was done before the first epoch.
        history: its finished epochs.
        optimizer: set while it is under way.
        average: of the weights, while it is under way, where one was asked for.
        memory: what the recipe keeps from step to step, while it is under way.
    """

    optimizer: Optimizer
    average: Average | None
    memory: dict[str, Tensor]

    def __init__(self, context: TrainingContext, out: Path) -> None:
        """Find the run in its directory, or begin it there.

        Raises:
            InvalidInput: the directory holds another run, or cannot be written to.
        """
        self.context, self.out = context, out
        self._manifest = open_manifest(context, out)
        self.placement = Placement(**self._manifest["placement"])
        self.history = History()
        self.preparation = Preparation(**self._manifest.get("preparation", {}))
        self._best: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        """Say whether there is nothing left to do."""
        return bool(self._manifest["finished"]) and (self.out / WEIGHTS).exists()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Run a block with the model in place, as the last finished epoch left it.

        However the block ends, the model is in eval mode; where it ends with an error, with the
        weights of the last finished epoch.
        """
        model = self.context.model
        with ExitStack() as places:
            for source in self.context.sources:
                places.enter_context(evaluating(source))
                places.enter_context(placed(source, self.placement))
            places.enter_context(placed(model, self.placement))
            places.enter_context(dropping(model, self.context.settings.dropout))
            self.optimizer = build_optimizer(model, self.context.settings)
            self.average = Average(model, ema) if (ema := self.context.settings.ema) else None
            self.memory = {}
            if (self.out / CHECKPOINT).exists():
                self._load()
            else:
                # also before the first epoch: the first weights are drawn outside of this run
                self._save()
            try:
                yield
            except Exception:
                self._load()
                raise

    def begin_at(self, state: dict[str, Tensor]) -> None:
        """Begin at other weights than the model came with."""
        self.context.model.load_state_dict(state)
        if self.average:
            self.average = Average(self.context.model, self.context.settings.ema)

    def judged(self) -> AbstractContextManager[None]:
        """Return a context in which the model has the weights that are validated and kept."""
        return self.average.in_place(self.context.model) if self.average else nullcontext()

    def keep(self, row: EpochRow) -> None:
        """Write down a finished epoch.

        Raises:
            InvalidInput: the disk is full, or the place may not be written to.
        """
        self.history = self.history.after(row, self.context.settings)
        if self.history.best_epoch == row.epoch:
            with self.judged():
                self._best = state_of(self.context.model)
        self._save()
        self._describe()

    def finish(self) -> None:
        """Write the best weights; the run is over."""
        own = self._own_names(self._best)
        metadata = preprocessing_metadata(self.context.model)
        names = self.context.feed.dataset.class_names
        if len(names) == self.context.classes:
            metadata |= class_names_metadata(names)
        write_tensors(self.out / WEIGHTS, own, metadata=metadata)
        self._describe(finished=True)

    def result(self) -> TrainResult:
        """Leave the best weights in the model, in eval mode; return what a finished run gave."""
        weights, _ = read_tensors(self.out / WEIGHTS)
        without_preprocessing(self.context.model).load_state_dict(self._own_names(weights))
        self.context.model.eval()
        return TrainResult(
            self.out,
            self.out / WEIGHTS,
            tuple(EpochRow(**row) for row in self._manifest["epochs"]),
            best_epoch=self._manifest["best_epoch"],
            stopped_early=self._manifest["stopped_early"],
            preparation=self.preparation,
            notes=tuple(Finding(**note) for note in self._manifest.get("notes", [])),
        )

    def _own_names(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a state under the names of the user's own module, which loads it strictly."""
        own = without_preprocessing(self.context.model)
        if own is self.context.model or state.keys() == own.state_dict().keys():
            return state
        return {name.removeprefix(_BEHIND): value for name, value in state.items()}

    def _save(self) -> None:
        groups = {
            "model": state_of(self.context.model),
            "optimizer": optimizer_tensors(self.optimizer),
            "best": self._best,
            "ema": self.average.tensors if self.average else {},
            "memory": self.memory,
        }
        tensors = {
            f"{group}.{name}": v for group, tensors in groups.items() for name, v in tensors.items()
        }
        write_tensors(self.out / CHECKPOINT, tensors, self.history.as_text())

    def _load(self) -> None:
        tensors, history = read_tensors(self.out / CHECKPOINT)
        groups: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            group, _, name = key.partition(".")
            groups[group][name] = value
        self.context.model.load_state_dict(groups["model"])
        restore_optimizer(self.optimizer, groups["optimizer"])
        if self.average:
            self.average.restore(groups["ema"])
        # cloned: what was read lies anywhere in the file's bytes, and where a tensor is not aligned
        # as torch aligns it, some processors' products differ in their last bits
        memory = groups["memory"].items()
        self.memory = {name: v.clone().to(self.placement.device) for name, v in memory}
        self._best = groups["best"]
        self.history = History.from_text(history)

    def _describe(self, *, finished: bool = False) -> None:
        changes: dict[str, Any] = {
            "finished": finished,
            "stopped_early": self.history.stops_early(self.context.settings),
            "best_epoch": self.history.best_epoch,
            "preparation": asdict(self.preparation),
            "notes": [note.as_dict() for note in self.history.notes],
            "epochs": [row.as_dict() for row in self.history.rows],
        }
        self._manifest = {**self._manifest, **changes}
        write_manifest(self.out, self._manifest)
