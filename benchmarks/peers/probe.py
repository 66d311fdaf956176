"""One untimed run in a process of its own: passes counted, memory watched.

    python -m benchmarks.peers.probe '{"entrant": "foolbox", "setup": {...}, "batch": 64, ...}'

is what the benchmark starts; it prints one JSON object.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from benchmarks.peers.cells import Setup, job_of
from benchmarks.peers.counting import Counting
from benchmarks.peers.memory import at_peak
from benchmarks.peers.registry import attacks_of
from benchmarks.peers.sizing import warm_up
from benchmarks.peers.subjects import open_subject
from benchmarks.peers.timing import timed
from benchmarks.peers.with_autoattack import locate

_MIB = 2**20


def probe_apart(
    entrant: str, setup: Setup, *, batch: int, weights: Path, autoattack: Path | None
) -> dict[str, Any]:
    """Start a process for one run and return what it saw.

    Args:
        entrant: who.
        setup: what.
        batch: images a forward pass.
        weights: directory of weights.
        autoattack: checkout of the reference code.

    Returns:
        forwards and backwards, rows over all images; memory, MiB; or error, a line.
    """
    options = {
        "entrant": entrant,
        "setup": asdict(setup),
        "batch": batch,
        "weights": str(weights),
        "autoattack": None if autoattack is None else str(autoattack),
    }
    command = [sys.executable, "-m", "benchmarks.peers.probe", json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def probe(asked: Mapping[str, Any]) -> dict[str, float]:
    """Run one attack once, counted and watched.

    Args:
        asked: as `probe_apart` writes it.
    """
    setup = Setup(**asked["setup"])
    torch.set_num_threads(setup.threads)
    if asked["autoattack"] is not None:
        locate(Path(asked["autoattack"]))
    subject = open_subject(setup.of_case, Path(asked["weights"]), setup.images, setup.device)
    counting = Counting(subject.model)
    job = replace(job_of(setup, subject, batch=asked["batch"]), model=counting)
    attack = attacks_of(asked["entrant"])[setup.method]
    warm_up(asked["entrant"], setup, job)  # what a library loads is no cost of the attack
    before = counting.tally.forwards, counting.tally.backwards
    _, peak = at_peak(lambda: timed(attack, job), setup.device)
    return {
        "forwards": counting.tally.forwards - before[0],
        "backwards": counting.tally.backwards - before[1],
        "memory": peak / _MIB,
    }


if __name__ == "__main__":
    print(json.dumps(probe(json.loads(sys.argv[1]))))
