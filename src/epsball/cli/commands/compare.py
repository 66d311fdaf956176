"""`epsball compare`: two or more runs on the same images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

_PAIR = 2


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Directories of two runs or more.", metavar="DIR DIR ...")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Write comparison.json and a page of every two runs here."),
    ] = None,
) -> None:
    """Compare runs image by image: which is fooled more easily, and is that more than chance?

    The test is the exact McNemar test, with Holm's correction over classes and over pairs of runs.

    Example: epsball compare runs/plain runs/hardened --out both
    """
    from epsball.cli.console.show import say
    from epsball.errors import InvalidInput
    from epsball.evaluation.metrics.compare import compare as compare_runs

    if len(runs) < _PAIR:
        raise InvalidInput(f"compare needs two directories or more, got {len(runs)}: name another")
    if len(runs) > _PAIR:
        _compare_several(runs, out)
        return
    a, b = runs
    compared = compare_runs(a, b)
    show_comparison(compared)
    if out is not None:
        say(f"comparison: {write_comparison(a, b, compared, out)}")


def _compare_several(runs: Sequence[Path], out: Path | None) -> None:
    """Print and write three runs or more."""
    from epsball.cli.console.show import say
    from epsball.evaluation.metrics.compare import compare as compare_runs
    from epsball.evaluation.metrics.ranking import rank

    ranked = rank(runs)
    _show_ranking(ranked)
    if out is None:
        return
    _write_json(out, ranked)
    for duel in ranked["pairs"]:
        a, b = runs[duel["a"]], runs[duel["b"]]
        page = out / f"comparison-{duel['a'] + 1}-{duel['b'] + 1}.html"
        say(f"comparison: {_write_page(a, b, compare_runs(a, b), page)}")


def _show_ranking(ranked: dict[str, Any]) -> None:
    """Print who is fooled most easily, every accuracy, and every pair."""
    from epsball.cli.console.show import say, show_table
    from epsball.evaluation.metrics.present import eps_text, interval, percent

    names, told = _names(ranked["runs"]), ranked["of"]
    order = [f"{names[at]} {percent(told['accuracies'][at])}" for at in ranked["order"]]
    say(
        f"Most easily fooled first, by {told['variant']} at eps {eps_text(told['eps'])} in "
        f"{told['norm']}: {', '.join(order)} still right of the same {ranked['n']:,} images."
    )
    rows = [
        [row["variant"], row["norm"], eps_text(row["eps"])]
        + [
            f"{percent(value)} ({interval(ci)})"
            for value, ci in zip(row["accuracies"], row["cis"], strict=True)
        ]
        for row in ranked["rows"]
    ]
    show_table(["attack", "norm", "eps", *names], rows, title="accuracy on the same images")
    duels = [
        [
            names[duel["a"]],
            names[duel["b"]],
            str(duel["only_a_right"]),
            str(duel["only_b_right"]),
            f"{duel['p_value']:.2g}",
            f"{duel['p_holm']:.2g}",
        ]
        for duel in ranked["pairs"]
    ]
    heads = ["first", "second", "only first right", "only second right", "p (McNemar)", "p (Holm)"]
    title = f"every two under {told['variant']} at eps {eps_text(told['eps'])} in {told['norm']}"
    show_table(heads, duels, title=title)


def _names(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return the models' names, with the directories where two are the same."""
    names = [str(run["name"]) for run in runs]
    if len(set(names)) == len(names):
        return names
    return [f"{run['name']} ({run['dir']})" for run in runs]


def show_comparison(compared: dict[str, Any]) -> None:
    """Print which model is fooled more easily, and both side by side."""
    from epsball.cli.console.show import say, show_table
    from epsball.evaluation.metrics.present import eps_text, interval, percent
    from epsball.report.comparison.page import answer, telling_row

    a, b = _names([compared["a"], compared["b"]])
    say(answer(telling_row(compared["rows"]), compared["n"], names=(a, b)))
    rows = [
        [
            row["variant"],
            row["norm"],
            eps_text(row["eps"]),
            f"{percent(row['accuracy_a'])} ({interval(row['ci_a'])})",
            f"{percent(row['accuracy_b'])} ({interval(row['ci_b'])})",
            str(row["only_a_right"]),
            str(row["only_b_right"]),
            f"{row['p_value']:.2g}",
        ]
        for row in compared["rows"]
    ]
    heads = ["attack", "norm", "eps", a, b, "only first right", "only second right", "p (McNemar)"]
    show_table(heads, rows, title=f"accuracy on the same {compared['n']:,} images")


def write_comparison(a: Path, b: Path, compared: dict[str, Any], out: Path) -> Path:
    """Write comparison.json and the page of two runs."""
    _write_json(out, compared)
    return _write_page(a, b, compared, out / "comparison.html")


def _write_json(out: Path, compared: dict[str, Any]) -> None:
    import json

    from epsball.files import write_atomically

    text = json.dumps(compared, indent=1)
    write_atomically(out / "comparison.json", lambda file: file.write_text(text, encoding="utf-8"))


def _write_page(a: Path, b: Path, compared: dict[str, Any], page: Path) -> Path:
    from epsball.report import write_comparison as write_page

    return write_page([a, b], compared, page)
