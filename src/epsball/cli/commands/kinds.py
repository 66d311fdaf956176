"""`epsball kinds`: which kinds of mistake an audit found, and which goals an attacker reaches."""

from pathlib import Path
from typing import Annotated

import typer


def kinds(
    run: Annotated[Path, typer.Argument(help="Directory of a finished audit.")],
    hierarchy: Annotated[
        str,
        typer.Option(
            help="Closely related classes: wordnet, confusion or a file (child, tab, parents)."
        ),
    ] = "auto",
) -> None:
    """Label each adversarial image of an audit: true, re-focused, co-natural or benign.

    Example: epsball kinds runs/audit-zoo-squeezenet-imagenet-sample-1a2b3c4d
    """
    from epsball.cli.console.show import say, show_table
    from epsball.evaluation.metrics.present import eps_text, percent
    from epsball.workflows.kinds import label_kinds

    labelled = label_kinds(run, hierarchy=hierarchy)
    rows = [
        [
            row["variant"],
            eps_text(row["eps"]),
            row["kind"],
            f"{row['count']:,}",
            "-" if row["share"] is None else percent(row["share"]),
        ]
        for row in labelled.shares.iter_rows(named=True)
    ]
    show_table(["attack", "eps", "kind", "images", "of those fooled"], rows)
    goals = [
        [
            variant,
            eps_text(eps),
            rate.goal,
            "-" if rate.rate is None else percent(rate.rate),
            f"{rate.reached} of {rate.of}",
            rate.note,
        ]
        for (variant, _, eps), rates in labelled.goals.items()
        for rate in rates
    ]
    show_table(["attack", "eps", "goal", "rate", "images", "note"], goals)
    first, second = labelled.files
    say(f"closely related classes: by {labelled.related}; {first}, {second}")
