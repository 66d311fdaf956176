"""Who takes part, with which attacks, and why somebody does not."""

import hashlib
import importlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.peers.jobs import Attack
from benchmarks.peers.with_autoattack import commit_of_checkout

import epsball

_HOME = "benchmarks.peers."
# a DeepFool that takes the gradients of all classes at once needs as many images of memory
_MOST_CLASSES = {("adv-lib", "deepfool"): 100, ("torchattacks", "deepfool"): 100}


@dataclass(frozen=True)
class Entrant:
    """One column of the benchmark.

    Args:
        home: file with its attacks.
        table: their table in that file.
        module: what has to be importable.
        package: what its version is read from; None: no registry has it.
        ours: whether it is epsball, or the floor, rather than a peer.
        remedy: what to do when it is not there.
    """

    home: str
    table: str = "ATTACKS"
    module: str = "epsball"
    package: str | None = None
    ours: bool = False
    remedy: str = "is not installed: run make bench-peers"


def _ours(table: str) -> Entrant:
    return Entrant("ours", table, package="epsball", ours=True)


ENTRANTS = {
    "epsball": _ours("VERDICT"),
    "epsball-own-steps": _ours("OWN_STEPS"),
    "epsball-full-budget": _ours("FULL_BUDGET"),
    "epsball-autoattack": _ours("STANDARD"),
    "foolbox": Entrant("with_foolbox", module="foolbox", package="foolbox"),
    "torchattacks": Entrant("with_torchattacks", module="torchattacks", package="torchattacks"),
    "art": Entrant("with_art", module="art", package="adversarial-robustness-toolbox"),
    "adv-lib": Entrant("with_adv_lib", module="adv_lib", package="adv-lib"),
    "autoattack": Entrant(
        "with_autoattack", module="autoattack", remedy="is on no registry: give --autoattack PATH"
    ),
    "bare-passes": Entrant("floor", ours=True),
}


def attacks_of(name: str) -> dict[str, Attack]:
    """Return an entrant's attacks, by method."""
    entrant = ENTRANTS[name]
    table: dict[str, Attack] = getattr(importlib.import_module(_HOME + entrant.home), entrant.table)
    return table


def entrants_for(method: str) -> list[str]:
    """Return who has a method at all, whether or not it can run here."""
    return [name for name in ENTRANTS if method in attacks_of(name)]


def why_not(name: str, method: str, classes: int) -> str | None:
    """Say why an entrant that has a method cannot run it here; None: it can."""
    entrant = ENTRANTS[name]
    if importlib.util.find_spec(entrant.module) is None:
        return f"{name} {entrant.remedy}"
    most = _MOST_CLASSES.get((name, method.partition("-")[0]))
    if most is not None and classes > most:
        return f"{name} takes the gradients of all {classes:,} classes at every step"
    if entrant.home == "ours":
        missing: str | None = importlib.import_module(_HOME + "ours").not_yet(method, entrant.table)
        return missing
    return None


def version_of(name: str) -> str:
    """Return an entrant's version, or what names its code."""
    entrant = ENTRANTS[name]
    if name == "autoattack":
        return commit_of_checkout()
    try:
        return version(entrant.package) if entrant.package else "-"
    except PackageNotFoundError:
        return "-"


@cache
def code_of_epsball() -> str:
    """Return a hash of the code that searches: measurements of other code do not count."""
    return hash_of(Path(epsball.__file__).parent, leave_out=("report", "cli"))


def hash_of(folder: Path, leave_out: tuple[str, ...] = ()) -> str:
    """Return the start of a SHA-256 of all Python files below a folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        name = file.relative_to(folder)
        if name.parts[0] not in leave_out:
            digest.update(str(name).encode() + file.read_bytes())
    return digest.hexdigest()[:12]
