"""What `--budget` takes: five attacks, three budgets, two models.

    python benchmarks/budgets.py [OUT.md]

Prints for each run the budget, the seconds that it took from the call to the answer, the share of
the budget that went to attacks, and the images that it answers for. Needs MNIST and the ImageNet
sample in EPSBALL_DATA; nothing else should run on the machine.
"""

import sys
import tempfile
import time
from pathlib import Path

from epsball import audit, load_data
from epsball.errors import EpsballError

ATTACKS = ("fgsm", "pgd", "apgd", "strongest", "autoattack")
BUDGETS = (10, 30, 60)  # seconds
MODELS = (
    ("zoo:base-cnn-robust", "mnist", 0.3),
    ("zoo:squeezenet", "imagenet-sample", 4 / 255),
)
HEADS = ("model", "attack", "asked (s)", "taken (s)", "taken / asked", "share on attacks", "images")


def measure(model: str, data: str, eps: float, attack: str, budget: float) -> list[str]:
    """Run one audit, and return a row of the table."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = audit(
                model, data, attacks=attack, eps=eps, budget=budget, out=Path(folder) / "run"
            )
        except EpsballError as error:
            answer = ["-", f"{error}"]
        else:
            attacking = report.summary["phases"]["attacks"]["seconds"]
            images = report.summary["results"][0]["n"]
            answer = [f"{attacking / budget:.2f}", f"{images:,}"]
    taken = time.perf_counter() - started
    return [model, attack, f"{budget}", f"{taken:.1f}", f"{taken / budget:.2f}", *answer]


def main() -> None:
    """Measure every combination, and print or write the table."""
    for _, data, _ in MODELS:
        load_data(data)  # what is read for the first time is read from the disk
    lines = ["| " + " | ".join(HEADS) + " |", "| " + " | ".join("---" for _ in HEADS) + " |"]
    print("\n".join(lines), flush=True)
    for model, data, eps in MODELS:
        for attack in ATTACKS:
            for budget in BUDGETS:
                row = measure(model, data, eps, attack, budget)
                lines.append("| " + " | ".join(row) + " |")
                print(lines[-1], flush=True)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
