"""`epsball report`: the page again, from the records."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    directory: Annotated[Path, typer.Argument(help="Directory of a run.", metavar="DIR")],
    figures: Annotated[
        bool, typer.Option("--figures", help="Write the figures as SVG, PNG and PDF too.")
    ] = False,
) -> None:
    """Write the page of an audit, a training run or a study again, from what it left behind.

    Example: epsball report runs/audit-base-cnn-mnist-1a2b3c4d --figures
    """
    from epsball.cli.console.show import say, show_summary
    from epsball.evaluation.records.schema import read_summary
    from epsball.report import write_report, write_study, write_training_report

    if (directory / "training.json").exists():
        say(f"report: {write_training_report(directory)}")
        return
    if (directory / "study.json").exists():
        say(f"report: {write_study(directory, figures=figures)}")
        return
    show_summary(read_summary(directory))
    say(f"report: {write_report(directory, figures=figures)}")
