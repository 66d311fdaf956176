"""AutoAttack's reference code, from a local checkout: it is on no registry."""

import importlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.jobs import Attack, Job
from torch import Tensor

from epsball.errors import InvalidInput


def locate(checkout: Path) -> None:
    """Let the reference code be imported.

    Args:
        checkout: the directory that holds `autoattack/`.

    Raises:
        InvalidInput: it does not.
    """
    if not (checkout / "autoattack" / "autoattack.py").is_file():
        raise InvalidInput(
            f"--autoattack must name a checkout of fra31/auto-attack, got {checkout}: it holds no "
            "autoattack/autoattack.py; clone https://github.com/fra31/auto-attack there"
        )
    sys.path.insert(0, str(checkout.resolve()))


def commit_of_checkout() -> str:
    """Return the commit that is checked out, or "-"."""
    spec, git = importlib.util.find_spec("autoattack"), shutil.which("git")
    if spec is None or spec.origin is None or git is None:
        return "-"
    command = [git, "-C", str(Path(spec.origin).parent), "rev-parse", "--short=10", "HEAD"]
    report = subprocess.run(command, capture_output=True, text=True, check=False)
    return report.stdout.strip() or "-"


def _adversary(job: Job, **knobs: object) -> Any:  # noqa: ANN401 - their class has no types
    return importlib.import_module("autoattack").AutoAttack(
        job.model,
        norm="Linf" if job.norm == "linf" else "L2",
        eps=job.eps,
        seed=job.seed,
        verbose=False,
        device=job.device,
        **knobs,
    )


def _evaluated(job: Job, adversary: Any) -> Tensor:  # noqa: ANN401 - their class has no types
    result: Tensor = adversary.run_standard_evaluation(job.images, job.labels, bs=job.batch)
    return result.detach().cpu()


def standard(job: Job) -> Tensor:
    """The standard ensemble: apgd-ce, apgd-t, fab-t, square, survivors only."""
    return _evaluated(job, _adversary(job, version="standard"))


def apgd(job: Job) -> Tensor:
    """Auto-PGD on the cross-entropy, one start."""
    adversary = _adversary(job, version="custom", attacks_to_run=["apgd-ce"])
    adversary.apgd.n_restarts, adversary.apgd.n_iter = 1, job.steps
    return _evaluated(job, adversary)


ATTACKS: dict[str, Attack] = {"apgd": apgd, "strongest": standard}
