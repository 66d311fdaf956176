"""The page: every comparison as a table, and in words how ours stands."""

from collections.abc import Sequence

from benchmarks.peers.methods import METHODS, MORE
from benchmarks.peers.results import Result, Table
from benchmarks.peers.rows import Row

_HEAD = """\
# epsball beside other libraries

Written by `make bench-peers`; nothing here was typed in.

Every library is given the same model, the same images and the same budget. The entrants of a
table ran in one process, in turn, each round beginning with another one; seconds are medians over
the rounds, and in brackets the fastest and the slowest. Each library ran at the batch that is
fastest for it, found beforehand. All verdicts are one judge's: float32 scores of the same model on
the images a library returned; an image that the model gets wrong before the attack is not
robust, and has no distance. epsball's seconds include the clean pass, the confirmation in float32
and the pass that gives its verdicts; those of the others end with the images they return. The
weights ask for no gradients, which spares those libraries time that call `backward()`.

Forwards and backwards are rows of images for each image, counted in a run of its own, as is
memory: the peak of what the process held above what it held before the attack. *Violations* are
images outside the ball by more than 0.000001, outside [0, 1], or not finite.

- **epsball**: verdict mode, as `epsball audit` runs by default: an image that is fooled, and
  confirmed in float32, is done with; {precision}.
- **epsball-own-steps**: the same, with the step sizes that epsball takes by itself.
- **epsball-full-budget**: every step on every image, in float32.
- **epsball-autoattack**: AutoAttack's standard composition, of epsball's own attacks.
- **autoattack**: the reference code, github.com/fra31/auto-attack.
- **bare-passes**: forwards and gradients, and nothing else.
"""


def page(tables: Sequence[Table], machine: Row, *, date: str | None, precision: str) -> str:
    """Return the page.

    Args:
        tables: what was measured.
        machine: the row that describes it.
        date: of the measurement, as it was given.
        precision: of epsball's search, in words.
    """
    parts = [_HEAD.format(precision=precision), _machine(machine, date)]
    last = None
    for table in tables:
        if table.setup["case"] != last:
            last = table.setup["case"]
            parts.append(_case(table))
        parts.append(_comparison(table))
    return "\n".join(parts)


def _machine(machine: Row, date: str | None) -> str:
    when = f", measured on {date}" if date else ""
    lines = [
        f"Machine: {machine['processor']}, {machine['memory']:.0f} GiB, {machine['system']}{when}.",
        f"Python {machine['python']}, torch {machine['torch']}.",
        "Measured by:",
        *(f"- `{command}`" for command in machine["commands"]),
    ]
    return "\n".join(lines) + "\n"


def _case(table: Table) -> str:
    case, setup = table.case, table.setup
    return (
        f"## {case.model} on {case.data}, {case.about}\n\n"
        f"{100 * table.clean:.1f} % of {setup['images']} images right before any attack; eps "
        f"{case.eps} where there is a ball; weights {setup['weights']}; threads "
        f"{setup['threads']}, device {setup['device']}; epsball's code {setup['code']}.\n"
    )


def _comparison(table: Table) -> str:
    name, method = table.setup["method"], METHODS[table.setup["method"]]
    where = "" if method.kind == "floor" else f", {method.norm}"
    lines = [
        f"### {name}{where}\n",
        f"{_upper(method.about.format(**table.setup))}; {table.setup['images']} images.\n",
        _rows(table),
        *_words(table),
        *_memory(table),
        *(f"- Missing: {reason}." for reason in table.left_out),
    ]
    return "\n".join(lines) + "\n"


def _rows(table: Table) -> str:
    kind = table.method.kind
    outcome = {"budget": ["robust %"], "minimal": ["median distance", "found %"], "floor": []}[kind]
    heads = ["", "version", *outcome, "seconds", "rounds", "batch"]
    heads += ["forwards", "backwards", "peak MiB", "violations"]
    lines = [heads, ["---", "---", *["--:"] * (len(heads) - 2)]]
    lines += [_line(result, kind) for result in table.results]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _line(result: Result, kind: str) -> list[str]:
    outcome = {
        "budget": [f"{100 * result.robust:.1f}"],
        "minimal": [_number(result.distance, "none"), f"{100 * result.found:.1f}"],
        "floor": [],
    }[kind]
    low, high = min(result.seconds), max(result.seconds)
    spread = f" ({low:.3g} to {high:.3g})" if len(result.seconds) > 1 else ""
    return [
        result.entrant,
        result.version,
        *outcome,
        f"{result.middle:.3g}{spread}",
        str(len(result.seconds)),
        str(result.batch),
        _number(result.forwards),
        _number(result.backwards),
        _number(result.memory),
        str(result.violations),
    ]


def _words(table: Table) -> list[str]:
    """Say how ours stands, and whether that is what it has to be."""
    said = [line for ours in table.both for line in _held(table, ours)]
    return said or ["- Nothing to hold side by side."]


def _held(table: Table, ours: Result) -> list[str]:
    """Hold one of our entrants against the rival."""
    result = table.standing_of(ours)
    if result is None:
        return []
    who = f" of {ours.entrant}" if len(table.both) > 1 else ""
    met = _met(result.time, result.target)
    said = [f"- Time{who}: {result.time:.3f} of the seconds of {result.rival}{met}."]
    if result.better is None or result.against is None:
        return said
    if table.method.kind == "minimal":
        ratio = f"{_number(ours.distance, 'none')} against {result.against:.4g} of the nearest peer"
        said.append(
            f"- Median distance{who}: {ratio}, at most 1.01 times: {_yes(ok=result.better)}."
        )
    else:
        ratio = f"{100 * ours.robust:.1f} % against {100 * result.against:.1f} %"
        said.append(f"- Robust accuracy{who}: {ratio}; no higher: {_yes(ok=result.better)}.")
    return said


def _memory(table: Table) -> list[str]:
    """Say whether memory grows with the images, where that was watched."""
    ours = table.ours
    if ours is None or ours.memory is None or ours.memory_of_more is None:
        return []
    count = table.setup["images"]
    return [
        f"- Peak memory of {ours.entrant}: {ours.memory:.0f} MiB with {count} images, "
        f"{ours.memory_of_more:.0f} MiB with {MORE * count}, what it returns included."
    ]


def _met(value: float, target: float | None) -> str:
    return "" if target is None else f"; target at most {target:.3g}: {_yes(ok=value <= target)}"


def _yes(*, ok: bool) -> str:
    return "met" if ok else "**missed**"


def _number(value: float | None, missing: str = "-") -> str:
    return missing if value is None else f"{value:.4g}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
