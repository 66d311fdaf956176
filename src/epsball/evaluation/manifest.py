"""The manifest of a run: attacks, model, images and machine. Enough to repeat it, bit for bit."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from epsball import __version__
from epsball.errors import InvalidInput
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.records.schema import RECORDS, read_manifest
from epsball.evaluation.settings import AttackSetting
from epsball.files import write_atomically
from epsball.runs.directory import check_vacant, differences, refuse_other_run
from epsball.runs.likeness import differ

FILE = "manifest.json"


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
    scores: tuple[tuple[float, ...], ...] = ()  # of a few fixed images; none of a random model


class DataEntry(BaseModel):
    """The images that were used, and the hash of their content."""

    model_config = _PLAIN

    spec: str
    n: int
    total: int
    shape: tuple[int, int, int]
    sample: str
    order: Literal["sample", "random"] = "sample"  # random: the run may end early
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
        # compared on their own: another machine rounds otherwise
        del decided["model"]["scores"]
        versions = {name: self.versions.get(name) for name in ("epsball", "torch")}
        engine = {
            "device": self.engine.device,
            "precision": self.engine.precision,
            "full_budget": self.engine.full_budget,
            "through": self.engine.through,
        }
        return decided | engine | {"versions": versions}


def read_begun(run: Path) -> Manifest | None:
    """Read the manifest of the run that was begun in a directory; None where there is none.

    Raises:
        InvalidInput: the directory holds something else, or a manifest that is none of ours.
    """
    if not (run / FILE).exists():
        check_vacant(run)
        return None
    recorded = any((run / RECORDS).glob("*.parquet"))
    content = read_manifest(run)
    if recorded:
        _refuse_other_version(run, content)
    try:
        manifest = Manifest.model_validate(content)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"--out {run}: its manifest is not one of epsball's ({reason}); choose another --out"
        ) from None
    # a run without records, because a finding blocked it perhaps, may be replaced
    return manifest if recorded else None


def _refuse_other_version(run: Path, content: dict[str, Any]) -> None:
    """Refuse to continue a run of another version: its records may mean something else."""
    written = content.get("versions", {}).get("epsball")
    if written is not None and written != __version__:
        raise InvalidInput(
            f"--out {run} was begun by epsball {written}, and this is {__version__}; choose "
            f"another --out, or continue it with epsball {written}"
        )


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
    earlier = read_begun(run)
    if earlier is None:
        text = manifest.model_dump_json(indent=2)
        write_atomically(run / FILE, lambda file: file.write_text(text + "\n", encoding="utf-8"))
        return manifest
    differing = differences(earlier.request(), manifest.request())
    if differ(earlier.model.scores, manifest.model.scores):
        differing.append("model.scores (of a few fixed images)")
    refuse_other_run(run, "run", differing)
    return earlier
