"""training.json: what a run is, so that only the same run is ever continued."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from epsball.data import class_counts
from epsball.errors import InvalidInput
from epsball.files import write_bytes
from epsball.identity import model_hash
from epsball.models import fingerprint
from epsball.models.preprocess import without_preprocessing
from epsball.runs.directory import check_vacant, differences, refuse_other_run
from epsball.runs.environment import versions
from epsball.training.recipes.table import recipe_settings
from epsball.training.setup.context import TrainingContext
from epsball.training.setup.feeding import Feed
from epsball.training.setup.placement import choose_placement
from epsball.training.setup.settings import TrainSettings

MANIFEST = "training.json"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # of objects without a repr: new in every process


def open_manifest(context: TrainingContext, out: Path) -> dict[str, Any]:
    """Find the run that is to be continued, or begin one.

    Args:
        context: what the run works with.
        out: its directory; made if need be.

    Returns:
        The content of training.json.

    Raises:
        InvalidInput: the directory holds another run, an unfinished one of another torch, or
            cannot be written to.
    """
    requested = _identity(context)
    if is_begun(out):
        return _same_run(out, requested)
    check_vacant(out)
    manifest = {
        "recipe": context.settings.recipe,
        **requested,
        "idle": sorted(recipe_settings() - set(context.recipe.parameters)),  # settings not read
        "placement": choose_placement(
            context.model, context.sample, context.settings, context.sources
        ).as_dict(),
        "versions": versions("epsball", "torch", "numpy"),
        "finished": False,
        "stopped_early": False,
        "best_epoch": 0,
        "notes": [],
        "epochs": [],
    }
    write_manifest(out, manifest)
    return manifest


def write_manifest(out: Path, manifest: dict[str, Any]) -> None:
    """Write training.json whole or not at all.

    Raises:
        InvalidInput: it cannot be written.
    """
    write_bytes(out / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())


def is_begun(out: Path) -> bool:
    """Say whether a directory holds a run, finished or not."""
    return (out / MANIFEST).exists()


def epochs_finished(out: Path) -> int:
    """Return how many epochs of a run are finished in a directory; 0 where there is none."""
    try:
        return len(json.loads((out / MANIFEST).read_text(encoding="utf-8"))["epochs"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def architecture_fingerprint(model: nn.Module) -> str:
    """Hash what a model is made of: its printed structure, and the form of its state."""
    shapes = [(name, tuple(v.shape), str(v.dtype)) for name, v in model.state_dict().items()]
    return hashlib.sha256(f"{_ADDRESS.sub('', repr(model))}{shapes}".encode()).hexdigest()


def _identity(context: TrainingContext) -> dict[str, dict[str, Any]]:
    """Return what two runs must share to be one run."""
    data, model = context.feed.dataset, context.model
    return {
        "settings": context.settings.model_dump(mode="json"),
        "model": {
            "name": type(without_preprocessing(model)).__name__,
            "parameters": sum(weight.numel() for weight in model.parameters()),
            "architecture": architecture_fingerprint(model),
            "code": model_hash(model, weights=False),
        },
        "data": {
            "name": data.name,
            "images": len(data),
            "shape": list(data.shape),
            "content": context.feed.fingerprint(),
            **_counted(context),
        },
        "sources": {
            f"{number} ({type(source).__name__})": fingerprint(source)
            for number, source in enumerate(context.sources, 1)
        },
    }


def _counted(context: TrainingContext) -> dict[str, Any]:
    """Return what is known of a training set that is imbalanced, or validated on another set."""
    settings, feed, entry = context.settings, context.feed, {}
    if settings.imbalance is not None or settings.resample != "none":
        counts = class_counts(feed.train_labels, len(feed.dataset.class_names)).tolist()
        entry["class_counts"] = dict(zip(feed.dataset.class_names, counts, strict=True))
    if feed.held_out is not None:
        rows = np.arange(len(feed.held_out), dtype=np.int64)
        held_out = Feed(feed.held_out, None, rows, rows[:0])
        entry["validation"] = {"images": len(rows), "content": held_out.fingerprint()}
    return entry


def _same_run(out: Path, requested: dict[str, dict[str, Any]]) -> dict[str, Any]:
    file = out / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        differing = _differences(manifest, requested)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"train: {file} cannot be read ({error}); delete {out} and train again"
        ) from None
    epochs = manifest["settings"].get("epochs", 0)
    only_epochs = len(differing) == 1 and differing[0].startswith("epochs (")
    if manifest["finished"] and only_epochs and epochs < requested["settings"]["epochs"]:
        return _extended(manifest, requested)
    refuse_other_run(out, "training run", differing)
    return manifest


def _extended(manifest: dict[str, Any], requested: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Let a run go on for more epochs; what it was begun with stays on record.

    Its schedule is that of the larger number from the next epoch on, so that it is another run than
    one of as many epochs from the start.
    """
    earlier = [*manifest.get("extended", []), manifest["settings"]["epochs"]]
    return {**manifest, **requested, "finished": False, "stopped_early": False, "extended": earlier}


def _differences(manifest: dict[str, Any], requested: dict[str, dict[str, Any]]) -> list[str]:
    # a run from before a setting existed was begun with the setting's default
    settings = TrainSettings().model_dump(mode="json") | manifest["settings"]
    there = {part: manifest.get(part, {}) for part in requested if part != "settings"}
    code = requested["model"]["code"]  # which runs of earlier versions do not hold
    there["model"] = {"code": code, **there["model"]}
    here = {part: values for part, values in requested.items() if part != "settings"}
    names = differences(settings, requested["settings"]) + differences(there, here)
    before, now = manifest["versions"]["torch"], versions("torch")["torch"]
    if not manifest["finished"] and before != now:
        names.append(f"torch ({before} there, {now} here)")
    return names
