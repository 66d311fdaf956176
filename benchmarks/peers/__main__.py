"""python -m benchmarks.peers: measure what is not measured yet, and write the page."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from benchmarks.peers.cells import Setup
from benchmarks.peers.comparing import Comparison, Options
from benchmarks.peers.machine import command_line, describe
from benchmarks.peers.methods import CASES, METHODS
from benchmarks.peers.ours import PRECISION
from benchmarks.peers.page import page
from benchmarks.peers.registry import ENTRANTS, code_of_epsball
from benchmarks.peers.results import tables_of
from benchmarks.peers.rows import Rows
from benchmarks.peers.subjects import open_subject, train_missing
from benchmarks.peers.with_autoattack import locate

from epsball.errors import EpsballError, unknown_name
from epsball.files import write_bytes

_PLACES = ("--weights", "--autoattack", "--out", "--page")  # values that name folders


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line."""

    cases: tuple[str, ...]
    methods: tuple[str, ...]
    images: int | None
    steps: int | None
    threads: int | None
    device: str
    train: bool
    out: Path
    page: Path
    date: str | None
    options: Options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 2 on bad input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        run(_asked(given), command_line(given, _PLACES))
    except EpsballError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run(asked: Asked, command: str) -> None:
    """Measure case by case and write the page after each.

    Args:
        asked: what is wanted.
        command: how to reproduce it; kept with the rows, since several commands may fill a page.
    """
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    if asked.options.autoattack is not None:
        locate(asked.options.autoattack)
    rows = Rows(asked.out / "rows.jsonl")
    if asked.train:
        for case in asked.cases:
            train_missing(CASES[case], asked.options.weights)
    for case in asked.cases:
        _measure_case(case, asked, rows, command)
        commands = [row["command"] for row in rows.of(what="command")]
        machine = describe(asked.device, commands)
        text = page(tables_of(rows), machine, date=asked.date, precision=PRECISION)
        write_bytes(asked.page, text.encode())
    print(f"written: {asked.page}")


def _measure_case(name: str, asked: Asked, rows: Rows, command: str) -> None:
    case = CASES[name]
    count = asked.images or case.images
    subject = open_subject(case, asked.options.weights, count, asked.device)
    if not rows.of(what="command", command=command):  # bad input measured nothing: it is no source
        rows.add(what="command", command=command)
    for wanted in asked.methods or case.methods:
        method = METHODS[wanted]
        setup = Setup(
            case=name,
            method=wanted,
            images=min(count, len(subject.images), method.images or count),
            steps=min(asked.steps or method.steps, method.steps),
            threads=torch.get_num_threads(),
            device=asked.device,
            weights=subject.weights,
            code=code_of_epsball(),
            torch=torch.__version__,
        )
        Comparison(setup, subject, asked.options, rows, _tell).run()


def _tell(line: str) -> None:
    print(line, flush=True)


def _asked(given: Sequence[str]) -> Asked:
    result = _parser().parse_args(given)
    return Asked(
        cases=_known("case", result.case, CASES) or tuple(CASES),
        methods=_known("method", result.method, METHODS),
        images=result.images,
        steps=result.steps,
        threads=result.threads,
        device=result.device,
        train=result.train,
        out=result.out,
        page=result.page,
        date=result.date,
        options=Options(
            result.weights,
            result.autoattack,
            result.rounds,
            result.once_over,
            result.too_slow,
            _known("entrant", result.entrant, ENTRANTS),
            result.probes,
        ),
    )


def _known(what: str, names: Sequence[str] | None, table: Iterable[str]) -> tuple[str, ...]:
    for name in names or ():
        if name not in set(table):
            raise unknown_name(what, name, table)
    return tuple(names or ())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.peers", description=__doc__)
    add = parser.add_argument
    add("--weights", type=Path, default=Path("runs/bench-weights"), help="directory of weights")
    add("--train", action="store_true", help="train the models whose weights are missing")
    add("--autoattack", type=Path, help="checkout of github.com/fra31/auto-attack")
    add("--case", action="append", help=f"one of {', '.join(CASES)}; repeatable; default all")
    add("--method", action="append", help=f"one of {', '.join(METHODS)}; repeatable")
    add("--entrant", action="append", help=f"one of {', '.join(ENTRANTS)}; repeatable")
    add("--images", type=_count, help="at most so many; default 500, 200 for strongest")
    add("--steps", type=_count, help="at most so many, to try things out")
    add("--rounds", type=_count, default=3, help="turns of each")
    add("--once-over", type=float, default=120.0, help="seconds; a slower one has one turn")
    add("--too-slow", type=float, default=1800.0, help="seconds; a slower one has none")
    add("--threads", type=_count, help="of torch; default: its own choice, all cores")
    add("--device", default="cpu")
    add("--no-probes", dest="probes", action="store_false", help="no counts, no memory")
    add("--out", type=Path, default=Path("runs/bench-peers"), help="where rows are kept")
    add("--page", type=Path, default=Path("docs/results/peers.md"))
    add("--date", help="printed on the page")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {value}")
    return value


if __name__ == "__main__":
    sys.exit(main())
