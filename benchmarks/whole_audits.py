"""What a whole audit costs: beside the bare attack of other libraries, and beside its own attacks.

    python -m benchmarks.whole_audits [--rounds 3] [--only pgd squeezenet engine demo]

One line a target: what was measured, the ratio, the ratio to reach. Peers that are not installed
are left out and named (`make bench-peers` installs them into an environment of their own); without
any, the bare passes that each of them needs at least stand in, and the line says so. Three
networks are trained first, within a minute; data come from `$EPSBALL_DATA` or the cache. Whole
audit and peers run in turn, in this process, with one thread; medians of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.engine_floor import PAIRS, ratio_to_floor
from benchmarks.peers.jobs import Job
from benchmarks.peers.registry import ENTRANTS, attacks_of, why_not
from benchmarks.peers.timing import timed
from benchmarks.verdicts.networks import fit
from torch import Tensor, nn

import epsball
from epsball.attacks import pgd
from epsball.data import load_data, to_unit

STEPS, BATCH = 40, 128
PEERS = [name for name, entrant in ENTRANTS.items() if not entrant.ours and name != "autoattack"]
FLOOR = "bare-passes"
AUDIT = "audit zoo:squeezenet --data imagenet-sample --eps 1/255 --eps 4/255"


@dataclass(frozen=True)
class Case:
    """A network that is audited, trained here.

    Args:
        about: in words.
        data: name of the data set.
        classes: how many of its classes, the first ones.
        width: channels of the first convolution.
        images: that are audited.
        eps: radius in linf.
        robust: eps of adversarial training; 0: none.
        target: whole audit over the fastest peer's bare attack, at most.
    """

    about: str
    data: str
    classes: int
    width: int
    images: int
    eps: float
    robust: float
    target: float


CASES = (
    Case("undefended MNIST network", "mnist", 10, 32, 500, 0.2, 0.0, 0.35),
    Case("CIFAR-10 network of three classes", "cifar10", 3, 32, 300, 8 / 255, 0.0, 0.8),
    Case("small PGD-trained MNIST network", "mnist", 10, 8, 500, 0.1, 0.1, 1.3),
)


def main() -> None:
    """Measure what is named on the command line, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parts = {"pgd": beside_peers, "squeezenet": squeezenet, "engine": engine, "demo": demo}
    parser.add_argument("--only", nargs="*", choices=list(parts), default=list(parts))
    options = parser.parse_args()
    for name in options.only:
        parts[name](options.rounds)


def show(what: str, ratio: float, target: float, more: str = "") -> None:
    """Print one line of the table."""
    verdict = "reached" if ratio <= target else "MISSED"
    print(f"{what}: {ratio:.2f}, at most {target:.2f} wanted: {verdict}; {more}", flush=True)


def beside_peers(rounds: int) -> None:
    """Compare whole audits, findings included, with the bare attacks of other libraries."""
    torch.set_num_threads(1)
    for case in CASES:
        model, images, labels = trained(case)
        job = Job(model, images, labels, case.classes, "linf", case.eps, STEPS, BATCH)
        absent = [reason for name in PEERS if (reason := why_not(name, "pgd", case.classes))]
        present = [name for name in PEERS if not why_not(name, "pgd", case.classes)]
        rivals = present or [FLOOR]
        seconds: dict[str, list[float]] = {name: [] for name in (*rivals, "audit", "attack")}
        codes: set[str] = set()
        for _ in range(rounds + 1):  # the first round warms up
            for name in rivals:
                method = "floor" if name == FLOOR else "pgd"
                seconds[name].append(timed(attacks_of(name)[method], job)[1])
            started = time.perf_counter()
            report = epsball.audit(
                model, (images, labels), attacks=["pgd"], steps=STEPS, eps=[case.eps]
            )
            seconds["audit"].append(time.perf_counter() - started)
            seconds["attack"].append(report.summary["cost"]["seconds"])
            codes |= {one.code for one in report.findings}
        middle = {name: statistics.median(values[1:]) for name, values in seconds.items()}
        fastest = min(rivals, key=lambda name: middle[name])
        spent = report.summary["phases"]
        show(
            f"audit of a {case.about}, {case.images} images, over {fastest}'s bare attack",
            middle["audit"] / middle[fastest],
            case.target,
            f"{seconds_of(middle)}; phases {phases_of(spent)}; findings {sorted(codes) or 'none'}"
            + f"; {'; '.join(absent)}" * bool(absent),
        )


def seconds_of(middle: dict[str, float]) -> str:
    """Write down seconds by name."""
    return ", ".join(f"{name} {seconds:.2f} s" for name, seconds in middle.items())


def phases_of(phases: dict[str, dict[str, float]]) -> str:
    """Write down what each phase cost."""
    return ", ".join(
        f"{name} {spent['seconds']:.2f} s {spent['forwards']:.0f}+{spent['backwards']:.0f}"
        for name, spent in phases.items()
    )


def trained(case: Case) -> tuple[nn.Module, Tensor, Tensor]:
    """Train a case's network, and return it with the images to audit and their labels."""
    torch.manual_seed(0)
    train, test = (load_data(case.data, split=split) for split in ("train", "test"))
    chosen = np.flatnonzero(train.labels < case.classes)[:12000]
    images, labels = to_unit(train.read(chosen)), torch.from_numpy(train.labels[chosen])
    model = network(case, images.shape[1:])

    def attacked(inputs: Tensor, truth: Tensor, _: int) -> Tensor:
        if not case.robust:
            return inputs
        return pgd(model.eval(), inputs, truth, eps=case.robust, steps=5)

    fit(model, images, labels, epochs=2 if case.robust else 3, attacked=attacked)
    chosen = np.flatnonzero(test.labels < case.classes)[: case.images]
    model.eval().requires_grad_(requires_grad=False)
    return model, to_unit(test.read(chosen)), torch.from_numpy(test.labels[chosen])


def network(case: Case, shape: torch.Size) -> nn.Module:
    """Return two convolutions and two linear layers."""
    channels, side, _ = shape
    return nn.Sequential(
        nn.Conv2d(channels, case.width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(case.width, 2 * case.width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * case.width * (side // 4) ** 2, 100),
        nn.ReLU(),
        nn.Linear(100, case.classes),
    )


def squeezenet(rounds: int) -> None:  # noqa: ARG001 - the other parts take it
    """Compare a whole command with the seconds of its attacks."""
    for count, target in ((60, 2.5), (1000, 1.5)):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            whole = command(f"{AUDIT} --limit {count} --out {run}")
            summary = json.loads((run / "summary.json").read_text())
            attacks = summary["cost"]["seconds"]
        show(
            f"epsball {AUDIT} --limit {count}, whole command over its attacks",
            whole / attacks,
            target,
            f"{whole:.0f} s, attacks {attacks:.0f} s; phases {phases_of(summary['phases'])}",
        )


def engine(rounds: int) -> None:
    """Compare PGD through the engine with the passes it cannot do without."""
    for name, data in PAIRS:
        show(f"engine over bare passes, {name}", ratio_to_floor(name, data, 256, rounds), 1.05)


def demo(rounds: int) -> None:  # noqa: ARG001 - the other parts take it
    """Run `epsball demo` once, and twice at once."""
    if (cores := os.cpu_count() or 1) > 2:
        print(f"note: the targets of the demo are for two cores, here are {cores}")
    alone = at_once(1)
    show("epsball demo, seconds", alone, 80)
    show("two demos at once over one alone", at_once(2) / alone, 1.8)


def at_once(count: int) -> float:
    """Return the seconds that a number of demos take side by side."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        running = [launch(f"demo --out {folder}/{i}") for i in range(count)]
        for process in running:
            finish(process)
        return time.perf_counter() - started


def launch(arguments: str) -> "subprocess.Popen[bytes]":
    """Start the command line."""
    words = [sys.executable, "-m", "epsball.cli", *arguments.split()]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def command(arguments: str) -> float:
    """Return the seconds of a command."""
    started = time.perf_counter()
    finish(launch(arguments))
    return time.perf_counter() - started


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a command; a blocking finding (exit code 3) is a result like another."""
    if process.wait() not in (0, 3):
        sys.exit(f"failed: {process.args!r}")


if __name__ == "__main__":
    main()
