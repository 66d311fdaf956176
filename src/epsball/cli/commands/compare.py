"""`epsball compare`: two runs on the same images."""

from pathlib import Path
from typing import Annotated, Any

import typer


def compare(
    a: Annotated[Path, typer.Argument(help="Directory of the first run.", metavar="DIR")],
    b: Annotated[Path, typer.Argument(help="Directory of the second run.", metavar="DIR")],
    out: Annotated[
        Path | None, typer.Option(help="Write a page with both, and comparison.json, here.")
    ] = None,
) -> None:
    """Compare two runs image by image: is the difference more than chance?

    The test is the exact McNemar test; class by class with Holm's correction.

    Example: epsball compare runs/plain runs/hardened --out both
    """
    from epsball.cli.console.show import say
    from epsball.evaluation.metrics.compare import compare as compare_runs

    compared = compare_runs(a, b)
    show_comparison(compared)
    if out is not None:
        say(f"comparison: {write_comparison(a, b, compared, out)}")


def show_comparison(compared: dict[str, Any]) -> None:
    """Print both models side by side."""
    from epsball.cli.console.show import show_table
    from epsball.evaluation.metrics.present import eps_text, interval, percent

    a, b = compared["a"]["name"], compared["b"]["name"]
    if a == b:
        a, b = f"{a} ({compared['a']['dir']})", f"{b} ({compared['b']['dir']})"
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
    import json

    from epsball.files import write_atomically
    from epsball.report import write_comparison as write_page

    text = json.dumps(compared, indent=1)
    write_atomically(out / "comparison.json", lambda file: file.write_text(text, encoding="utf-8"))
    return write_page([a, b], compared, out / "comparison.html")
