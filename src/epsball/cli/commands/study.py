"""`epsball study`: repeat what a source reports, and say what holds."""

from pathlib import Path
from typing import Annotated, Any

import typer

from epsball.cli.console import options


def study(
    name: Annotated[str, typer.Argument(help="As `epsball list studies` has them.")],
    out: Annotated[Path, typer.Option(help="Directory of the study; a killed one is continued.")],
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="In place of the source's: digits ...")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Repetitions of every setting.")] = None,
    limit: options.Limit = None,
    train_limit: Annotated[int | None, typer.Option(help="Training images; all if None.")] = None,
    searched: Annotated[
        int | None, typer.Option(help="Test images for the dear attacks; 0: none of them.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of every training.")] = None,
    grid: Annotated[
        str | None, typer.Option(help='Settings in place of the study\'s: "l1=0,1e-5;l2=0,1e-4".')
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Of torch; part of every cell.")] = None,
    workers: Annotated[int, typer.Option(help="Processes at once; the rows are the same.")] = 1,
    device: options.Device = "auto",
    page: Annotated[
        Path | None, typer.Option(help="Write the Markdown page here too: a file.")
    ] = None,
) -> None:
    """Run a study of a source's claims: rows, a report, and a verdict for every claim.

    Example: epsball study red-blue --out studies/red-blue
    """
    from epsball.cli.console.show import Bars
    from epsball.studies import run_study

    with Bars() as bars:
        result = run_study(
            name,
            out,
            grid=grid,
            workers=workers,
            command=options.command_line(),
            progress=bars,
            data=data,
            seeds=seeds,
            limit=limit,
            train_limit=train_limit,
            searched=searched,
            epochs=epochs,
            threads=threads,
            device=device,
        )
    finish(result.summary, out, page)


def finish(summary: dict[str, Any], out: Path, page: Path | None) -> None:
    """Print the answer and the findings, and write the pages."""
    from epsball.cli.console.show import say, show_table
    from epsball.report import write_study, write_study_page

    findings = [claim for claim in summary["claims"] if claim["kind"] != "value"]
    rows = [[claim["text"], claim["verdict"], claim["note"]] for claim in findings]
    show_table(["what the source found", "verdict", "why"], rows)
    say(summary["story"]["answer"])
    say(f"report: {write_study(out)}")
    for file in (None, page) if page else (None,):
        say(f"page: {write_study_page(out, file)}")
