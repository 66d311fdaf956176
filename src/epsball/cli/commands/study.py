"""`epsball study`: repeat what a source reports, and say which of its claims hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from epsball.cli.console import options

if TYPE_CHECKING:
    from epsball.studies.core.planning import PlannedCell

FAILED = 1  # exit code: the study ended, but some of its cells failed


def study(
    name: Annotated[str, typer.Argument(help="A name from `epsball list studies`.")],
    out: Annotated[
        Path | None, typer.Option(help="Directory of the study; an unfinished one is continued.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the cells and their expected cost; run nothing.")
    ] = False,
    only: Annotated[
        str | None, typer.Option(help='Run these cells and what they need: "kind=judge;l1=0".')
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Instead of the source's: digits ...")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Repetitions of every setting.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Of a study of single classes: cat,dog, or their numbers.")
    ] = None,
    limit: options.Limit = None,
    train_limit: Annotated[int | None, typer.Option(help="Training images; all if None.")] = None,
    searched: Annotated[
        int | None, typer.Option(help="Test images for the expensive attacks; 0: none of them.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of every training.")] = None,
    grid: Annotated[
        str | None,
        typer.Option(help='Settings instead of the study\'s: "l1=0,1e-5;l2=0,1e-4".'),
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Of class-imbalance: fast, or source, the thesis' own.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Of torch; part of every cell.")] = None,
    workers: Annotated[int, typer.Option(help="Processes at once; the rows are the same.")] = 1,
    executor: options.ExecutorName = options.Executor.local,
    address: options.Address = None,
    storage: options.StorageUrl = None,
    gpus_per_cell: Annotated[
        float, typer.Option(help="GPUs that a cell reserves on a cluster; 0.5: two share one.")
    ] = 0.0,
    device: options.Device = "auto",
    page: Annotated[
        Path | None, typer.Option(help="Also write the Markdown page to this file.")
    ] = None,
) -> None:
    """Run a study of a source's claims: rows, a report, and a verdict for every claim.

    Example: epsball study red-blue --out studies/red-blue
    """
    if schedule is not None:
        grid = f"{grid or ''};schedule={schedule}"
    chosen: dict[str, Any] = {
        "grid": grid,
        "classes": classes,
        "only": only,
        "data": data,
        "seeds": seeds,
        "limit": limit,
        "train_limit": train_limit,
        "searched": searched,
        "epochs": epochs,
        "threads": threads,
        "device": device,
    }
    if plan:
        show_plan(name, out, workers, chosen)
        return
    from epsball.cli.console.bars import Bars
    from epsball.errors import InvalidInput
    from epsball.studies import run_study

    if executor is options.Executor.local:
        options.refuse_cluster_options(
            address=address, storage=storage, gpus_per_cell=gpus_per_cell
        )
        cluster = None
    else:
        from epsball.studies.executors.ray import Ray

        cluster = Ray(address, storage, gpus_per_cell)
    if out is None:
        raise InvalidInput(
            "study: --out is missing: name a directory, or use --plan to run nothing"
        )
    with Bars(time_left=False) as bars:
        result = run_study(
            name,
            out,
            workers=workers,
            executor=cluster,
            command=options.command_line(),
            progress=bars,
            **chosen,
        )
    finish(result.summary, out, page)


def show_plan(name: str, out: Path | None, workers: int, chosen: dict[str, Any]) -> None:
    """Print the cells of a study and their expected cost; write nothing."""
    from epsball.cli.console.show import say, show_table
    from epsball.studies.core.planning import make_plan, preview
    from epsball.studies.core.tracker import duration

    cells = preview(make_plan(name, out, **chosen))
    rows = [[c.cell.hash[:8], c.label, c.state, duration(c.seconds)] for c in cells]
    show_table(["cell", "what", "state", "seconds"], rows)
    show_table(["kind", "cells", "done", "failed", "time of those open"], _by_kind(cells))
    left = sum(cell.seconds for cell in cells if cell.state != "done")
    on = "one process" if workers == 1 else f"{workers} processes"
    say(f"{len(cells)} cells, about {duration(left / workers)} left on {on}")


def _by_kind(cells: "Sequence[PlannedCell]") -> list[list[str]]:
    from epsball.studies.core.tracker import duration

    rows = []
    for kind in dict.fromkeys(planned.cell.kind for planned in cells):
        part = [planned for planned in cells if planned.cell.kind == kind]
        states = [planned.state for planned in part]
        left = sum(planned.seconds for planned in part if planned.state != "done")
        counts = [len(part), states.count("done"), states.count("failed")]
        rows.append([kind, *map(str, counts), duration(left)])
    return rows


def finish(summary: dict[str, Any], out: Path, page: Path | None) -> None:
    """Print the answer and the verdicts, and write the pages.

    Raises:
        Exit: with code 1 where cells failed.
    """
    from epsball.cli.console.show import complain, say, show_table
    from epsball.report import write_study, write_study_page

    findings = [claim for claim in summary["claims"] if claim["kind"] != "value"]
    rows = [[claim["text"], claim["verdict"], claim["note"]] for claim in findings]
    show_table(["what the source reports", "verdict", "why"], rows)
    say(summary["story"]["answer"])
    say(f"report: {write_study(out)}")
    for file in (None, page) if page else (None,):
        say(f"page: {write_study_page(out, file)}")
    if summary["failed"]:
        complain(
            f"{len(summary['failed'])} cells failed; their errors are in {out / 'failures'}, and "
            "the same command tries them again"
        )
        raise typer.Exit(FAILED)
