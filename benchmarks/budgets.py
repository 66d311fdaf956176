"""What `epsball audit --budget` takes: five attacks, three budgets, two models.

    python benchmarks/budgets.py PAGE.md [SECONDS]

Each row of the page is one command: the budget, the seconds from its start to its end (the start
of Python, loading and the report included), the share of the budget that went to attacks, and the
images that it answers for, with those on which the budget ended an attack. Rows that the page has
already are not measured again; with SECONDS no row is begun after so many. Needs MNIST and the
ImageNet sample in EPSBALL_DATA; nothing else should run on the machine.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ATTACKS = ("default", "pgd", "strongest", "autoattack", "square")
_LATEST, _HALF = 1.2, 0.5  # of the budget
BUDGETS = (20, 40, 10)  # seconds, in the order in which rows are measured
MODELS = (
    ("zoo:base-cnn-robust", "mnist", "0.3"),
    ("zoo:squeezenet", "imagenet-sample", "4/255"),
)
HEADS = (
    *("model", "attack", "budget (s)", "taken (s)", "taken / budget", "share on attacks"),
    *("images", "cut short", "robust accuracy", "load"),
)
TEXT = f"""# What a time budget takes

`epsball audit MODEL --data DATA --attack ATTACK --eps EPS --budget SECONDS`, from the start of the
command to its end, on two hardware threads of one core. "default" leaves `--attack` out. The
attacks have to get half of the budget, and the command has to end within 1.2 times the budget.
"cut short" counts the images that an attack had not fooled when the budget ended it: they count
as right. "load" is the machine's load average (one minute) at the start of the command: above 1
the command waits for others, and what it needs beside the attacks (loading, checks, the page)
takes longer than on a machine of its own.
Made by `python benchmarks/budgets.py docs/results/budgets.md`, which measures the rows that are
missing; {", ".join(f"{model} on {data}, eps {eps} in linf" for model, data, eps in MODELS)}.
"""


def measure(model: str, data: str, eps: str, attack: str, budget: int) -> list[str]:
    """Run one command, and return a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "epsball.cli", "audit", model, "--data", data]
        command += ["--eps", eps, "--budget", f"{budget}s", "--out", str(run)]
        command += [] if attack == "default" else ["--attack", attack]
        load, started = f"{os.getloadavg()[0]:.1f}", time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        taken = time.perf_counter() - started
        row = [model, attack, f"{budget}", f"{taken:.1f}", f"{taken / budget:.2f}"]
        if done.returncode:
            return [*row, "-", "-", "-", done.stderr.strip().splitlines()[-1], load]
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    worst = summary["worst_case"][0]
    cut = [one["evidence"] for one in summary["findings"] if one["code"] == "attacks-cut-short"]
    low, high = worst["robust_accuracy_ci"]
    rate = f"{worst['robust_accuracy']:.1%} ({low:.1%} to {high:.1%})"
    share = summary["phases"]["attacks"]["seconds"] / budget
    ended = cut[0]["ended"] if cut else 0
    return [*row, f"{share:.2f}", f"{worst['n']:,}", f"{ended:,}", rate, load]


def combinations() -> Iterator[tuple[str, str, str, str, int]]:
    """Yield model, data, eps, attack and budget of every row."""
    for budget in BUDGETS:
        for model, data, eps in MODELS:
            for attack in ATTACKS:
                yield model, data, eps, attack, budget


def summed_up(lines: Sequence[str]) -> str:
    """Say how many rows of the table hold what is wanted."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    ratios, shares = HEADS.index("taken / budget"), HEADS.index("share on attacks")
    within = sum(float(row[ratios]) <= _LATEST for row in rows)
    half = sum(float(row[shares]) >= _HALF for row in rows)
    return (
        f"Of {len(rows)} rows, {within} end within {_LATEST} times the budget, and {half} give "
        "half of it to attacks.\n"
    )


def main() -> None:
    """Measure every row that is missing, and write the page after each."""
    page, started = Path(sys.argv[1]), time.monotonic()
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else float("inf")
    known = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    lines = ["| " + " | ".join(HEADS) + " |", "| " + " | ".join("---" for _ in HEADS) + " |"]
    for one in combinations():
        model, _, _, attack, budget = one
        start = f"| {model} | {attack} | {budget} |"
        result = [line for line in known if line.startswith(start)]
        if not result:
            if time.monotonic() - started + budget > seconds:
                continue
            result = ["| " + " | ".join(measure(*one)) + " |"]
            print(result[0], flush=True)
        lines += result
        rest = [line for line in known if line.startswith("| zoo:") and line not in lines]
        summary = summed_up([*lines[2:], *rest])
        page.write_text("\n".join([TEXT, summary, *lines, *rest, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
