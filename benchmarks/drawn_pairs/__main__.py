"""Draw pairs of a model and data, audit each, and count what becomes of them.

    python -m benchmarks.drawn_pairs --pairs 2000 --out DIR [--seed 0] [--page FILE] [--rows FILE]

Networks are trained at the first run and kept in DIR. Every finished pair is a line of
DIR/pairs.jsonl; a run that was stopped goes on where it stopped. MNIST and CIFAR-10 are needed.
"""

import argparse
import json
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from benchmarks.drawn_pairs.building import build
from benchmarks.drawn_pairs.drawing import draw
from benchmarks.drawn_pairs.judging import judge
from benchmarks.drawn_pairs.page import write_page
from benchmarks.drawn_pairs.tasks import Task, load_tasks


def main() -> None:
    """Read the options, audit what is missing, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--named", action="store_true", help="models that name their classes")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--rows", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tasks = load_tasks()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "pairs.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    done = {row["number"]: row for row in map(json.loads, lines)}
    wanted = range(options.first, options.first + options.pairs)
    with file.open("a") as stream:
        for number in wanted:
            if number in done:
                continue
            done[number] = one(number, tasks, options)
            stream.write(json.dumps(done[number]) + "\n")
            stream.flush()
    rows = [done[number] for number in wanted]
    named = " --named" if options.named else ""
    command = f"python -m benchmarks.drawn_pairs --pairs {options.pairs}{named} --out DIR"
    write_page(rows, options.page, options.rows, command)


def one(number: int, tasks: dict[str, Task], options: argparse.Namespace) -> dict[str, Any]:
    """Draw, build, audit and judge one pair."""
    seed, networks = options.seed, options.out / "networks"
    pair = draw(number, seed, tasks, named=options.named)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            built = build(pair, tasks[pair.task], networks, Path(folder), seed)
        except Exception as error:  # torch cannot make this pair
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            return {**pair.row(), "verdict": "not built", "detail": text[:200], "mistaken": None}
        return {**pair.row(), "mistaken": built.mistaken, **asdict(judge(built))}


if __name__ == "__main__":
    main()
