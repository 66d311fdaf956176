"""The manifest of a run: what was asked, of what, on what. Enough to repeat it, bit for bit."""

import datetime
import math
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from epsball.errors import InvalidInput
from epsball.evaluation.engine.engine import Choices
from epsball.evaluation.records.schema import RECORDS, read_manifest
from epsball.evaluation.settings import AttackSetting
from epsball.files import write_atomically

FILE = "manifest.json"
_PACKAGES = ("epsball", "torch", "numpy", "polars", "pillow", "scikit-learn")


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelEntry(_Plain):
    """The model that was asked, and the hash of its weights."""

    spec: str
    name: str
    sha256: str
    parameters: int | None
    classes: int
    gives: str
    rejects: bool


class DataEntry(_Plain):
    """The images that were used, and the hash of their content."""

    spec: str
    n: int
    total: int
    shape: tuple[int, int, int]
    sample: str
    sha256: str
    class_names: tuple[str, ...]


class AttackEntry(_Plain):
    """One attack setting, as data."""

    attack: str
    variant: str
    norm: str
    eps: tuple[float, ...]
    knobs: dict[str, Any]
    restarts: int


class EngineEntry(_Plain):
    """Choices made once and used again on resume."""

    device: str
    precision: str
    micro_batch: int
    threads: int
    full_budget: bool
    shard: int
    probe: int


class Manifest(_Plain):
    """Everything that decides what a run's records hold, and some that explain them."""

    command: str
    created: str
    seed: int
    budget: float | None
    model: ModelEntry
    data: DataEntry
    attacks: tuple[AttackEntry, ...]
    engine: EngineEntry
    versions: dict[str, str]
    hardware: dict[str, Any]

    @property
    def choices(self) -> Choices:
        """Return what the engine is to use."""
        engine = self.engine.model_dump(exclude={"shard", "probe"})
        return Choices(**engine)

    def request(self) -> dict[str, Any]:
        """Return what a run was asked: two manifests with equal requests are the same run."""
        asked = self.model_dump(include={"seed", "model", "data", "attacks", "budget"}, mode="json")
        versions = {name: self.versions.get(name) for name in ("epsball", "torch")}
        engine = {
            "device": self.engine.device,
            "precision": self.engine.precision,
            "full_budget": self.engine.full_budget,
        }
        return asked | engine | {"versions": versions}


def attack_entries(settings: Sequence[AttackSetting]) -> tuple[AttackEntry, ...]:
    """Write attack settings as data."""
    return tuple(
        AttackEntry(
            attack=s.attack,
            variant=s.variant,
            norm=s.norm,
            eps=tuple(eps for eps in s.eps if math.isfinite(eps)),
            knobs=s.knobs,
            restarts=s.restarts,
        )
        for s in settings
    )


def surroundings() -> dict[str, Any]:
    """Describe the machine and the versions: the parts of a manifest nobody asks for."""
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | _versions(),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def read_begun(run: Path) -> Manifest | None:
    """Read the manifest of the run that was begun in a directory; None where there is none.

    Raises:
        InvalidInput: the directory holds something else, or a manifest that is none of ours.
    """
    if not (run / FILE).exists():
        if run.exists() and (not run.is_dir() or _is_used(run)):
            raise InvalidInput(f"--out {run} holds something else: name a new or empty directory")
        return None
    try:
        begun = Manifest.model_validate(read_manifest(run))
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"--out {run}: its manifest is not one of epsball's ({reason}); choose another --out"
        ) from None
    # a run that got no further than its plan, blocked perhaps, stands in nobody's way
    return begun if any((run / RECORDS).glob("*.parquet")) else None


def _is_used(run: Path) -> bool:
    """Say whether a directory holds anything but what a kill in the first write left."""
    return any(not entry.name.endswith(".part") for entry in run.iterdir())


def settle(run: Path, manifest: Manifest) -> Manifest:
    """Begin a run, or continue the one that is there.

    Args:
        run: its directory; made where there is none.
        manifest: of the run that is asked for.

    Returns:
        The manifest to use: the one on disk where the same run was begun before, so that its
        micro-batch and threads are used again.

    Raises:
        InvalidInput: the directory holds another run, or something else.
    """
    begun = read_begun(run)
    if begun is None:
        text = manifest.model_dump_json(indent=2)
        write_atomically(run / FILE, lambda file: file.write_text(text + "\n", encoding="utf-8"))
        return manifest
    differing = _differences(begun.request(), manifest.request())
    if differing:
        raise InvalidInput(
            f"--out {run} holds another run: it differs in {', '.join(differing)}; "
            "choose another --out"
        )
    return begun


def _differences(a: dict[str, Any], b: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for key in sorted(a.keys() | b.keys()):
        one, other = a.get(key), b.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            found += _differences(one, other, f"{path}{key}.")
        else:
            found.append(path + key)
    return found


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor() -> str:
    """Return the processor's name; Linux keeps it in a file, other systems in `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
