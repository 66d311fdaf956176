"""What the checks of an audit cost: passes of each phase, counted, not timed.

A network that is trained on MNIST for some hundred steps is audited on 1,000 images, once as it is,
and once with its scaling forgotten, so that other scalings are tried. A gradient counts as two
forward passes beside its own. `summary.json` holds the same counts for every audit.

    python -m benchmarks.checks_share --networks DIR [--images 1000]
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from benchmarks.drawn_pairs.networks import trained
from benchmarks.drawn_pairs.scaling import Expecting, scalings
from benchmarks.drawn_pairs.tasks import Task, load_tasks
from torch import nn

from epsball import audit

ATTACKS: dict[str, list[str]] = {
    "default (fgsm, pgd of 40 steps, noise)": ["fgsm", "pgd", "noise"],
    "pgd of 10 steps": ["pgd:steps=10"],
    "fgsm alone": ["fgsm"],
}
CHECKING = ("checks", "planning")


def passes(phase: dict[str, Any]) -> int:
    """Return forward passes, a gradient counted as two more."""
    return int(phase["forwards"]) + 2 * int(phase["backwards"])


def measure(model: nn.Module, task: Task, attacks: list[str], images: int) -> dict[str, int]:
    """Return the passes of each phase of one audit."""
    data = (task.test[:images], task.test_labels[:images])
    report = audit(model, data, attacks=attacks, micro_batch=64, precision="float32")
    return {
        name: passes(phase)
        for name, phase in report.summary["phases"].items()
        if isinstance(phase, dict)
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = load_tasks()["digits"]
    net = trained(task, "cnn", options.networks)
    models = {
        "as it is": net,
        "scaling forgotten": Expecting(net, scalings(task)["half"]).eval(),
    }
    print("| attacks | network | passes of attacks | of checks | share of checks |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name, attacks in ATTACKS.items():
        for which, model in models.items():
            counts = measure(model, task, attacks, options.images)
            checks = sum(counts.get(phase, 0) for phase in CHECKING)
            total = sum(counts.values())
            print(
                f"| {name} | {which} | {counts.get('attacks', 0):,} | {checks:,} | "
                f"{checks / total:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
