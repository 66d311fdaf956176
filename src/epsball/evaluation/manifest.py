"""The manifest of a run: attacks, model, images and machine. Enough to repeat it, bit for bit."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from epsball import __version__
from epsball.errors import InvalidInput
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.records.schema import RECORDS, read_manifest
from epsball.evaluation.settings import AttackSetting
from epsball.files import write_atomically

FILE = "manifest.json"
_PACKAGES = ("torch", "numpy", "polars", "pillow", "scikit-learn")


_PLAIN = ConfigDict(frozen=True, extra="forbid")


class ModelEntry(BaseModel):
    """The model of a run, and the hash of its weights."""

    model_config = _PLAIN

    spec: str
    name: str
    sha256: str
    parameters: int | None
    classes: int
    gives: str
    rejects: bool


class DataEntry(BaseModel):
    """The images that were used, and the hash of their content."""

    model_config = _PLAIN

    spec: str
    n: int
    total: int
    shape: tuple[int, int, int]
    sample: str
    sha256: str
    class_names: tuple[str, ...]


class Manifest(BaseModel):
    """Everything that decides what a run's records hold, and some that explain them."""

    model_config = _PLAIN

    command: str
    created: str
    seed: int
    budget: float | None
    model: ModelEntry
    data: DataEntry
    attacks: tuple[AttackSetting, ...]
    engine: EngineConfig
    versions: dict[str, str]
    hardware: dict[str, Any]

    def request(self) -> dict[str, Any]:
        """Return what decides the records: two manifests with equal requests are the same run."""
        decided = self.model_dump(
            include={"seed", "model", "data", "attacks", "budget"}, mode="json"
        )
        versions = {name: self.versions.get(name) for name in ("epsball", "torch")}
        engine = {
            "device": self.engine.device,
            "precision": self.engine.precision,
            "full_budget": self.engine.full_budget,
        }
        return decided | engine | {"versions": versions}


def environment_info() -> dict[str, Any]:
    """Describe the machine and the versions, as a manifest holds them."""
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
    recorded = any((run / RECORDS).glob("*.parquet"))
    content = read_manifest(run)
    if recorded:
        _refuse_other_version(run, content)
    try:
        begun = Manifest.model_validate(content)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"--out {run}: its manifest is not one of epsball's ({reason}); choose another --out"
        ) from None
    # a run that got no further than its plan, blocked perhaps, stands in nobody's way
    return begun if recorded else None


def _refuse_other_version(run: Path, content: dict[str, Any]) -> None:
    """Refuse to continue a run of another version: its records may mean something else."""
    written = content.get("versions", {}).get("epsball")
    if written is not None and written != __version__:
        raise InvalidInput(
            f"--out {run} was begun by epsball {written}, and this is {__version__}; choose "
            f"another --out, or continue it with epsball {written}"
        )


def _is_used(run: Path) -> bool:
    """Say whether a directory holds anything but what a kill in the first write left."""
    return any(not entry.name.endswith(".part") for entry in run.iterdir())


def settle(run: Path, manifest: Manifest) -> Manifest:
    """Begin a run, or continue the one that is there.

    Args:
        run: its directory; created if it does not exist.
        manifest: of the requested run.

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
    differing = []
    for key in sorted(a.keys() | b.keys()):
        one, other = a.get(key), b.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            differing += _differences(one, other, f"{path}{key}.")
        else:
            differing.append(path + key)
    return differing


def _versions() -> dict[str, str]:
    versions = {"epsball": __version__}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _processor() -> str:
    """Return the processor's name; Linux keeps it in a file, other systems in `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
