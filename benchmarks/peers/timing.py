"""Calling a library with its noise kept quiet, and the clock around it."""

import gc
import io
import time
import warnings
from contextlib import redirect_stdout

import numpy as np
import torch
from benchmarks.peers.jobs import Attack, Job
from torch import Tensor


def timed(attack: Attack, job: Job) -> tuple[Tensor, float]:
    """Run an attack.

    Args:
        attack: of any library.
        job: what it is given; its seed also seeds the global generators of torch and numpy, from
            which the libraries draw.

    Returns:
        The adversarial images, and the seconds they took.
    """
    gc.collect()
    torch.manual_seed(job.seed)
    np.random.seed(job.seed)  # noqa: NPY002 - ART draws from this one
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _wait(job.device)
        started = time.perf_counter()
        adversarial = attack(job)
        _wait(job.device)
        seconds = time.perf_counter() - started
    job.model.eval()  # some libraries switch the mode
    return adversarial.detach(), seconds


def _wait(device: str) -> None:
    """Let a GPU finish: it works behind the clock's back."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
