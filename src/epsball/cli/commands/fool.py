"""`epsball fool`: images that mean nothing and that a model names with confidence."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from epsball.cli.console import options
from epsball.cli.console.model_options import takes_model_options


class By(StrEnum):
    """How images are searched."""

    gradient = "gradient"
    evolution = "evolution"


class Encoding(StrEnum):
    """How evolution draws images."""

    cppn = "cppn"
    direct = "direct"


@takes_model_options
def fool(
    model: options.Model,
    classes: Annotated[
        list[str],
        typer.Option(
            "--class", help="Name or number of the class; repeatable; all.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Directory to be made.", show_default=False)],
    by: Annotated[By, typer.Option(help="Gradient ascent, or MAP-Elites.")] = By.gradient,
    encoding: Annotated[
        Encoding, typer.Option(help="Of evolution: patterns, or single pixels.")
    ] = Encoding.cppn,
    start: Annotated[str, typer.Option(help="Of the gradient: black, noise or FILE.")] = "black",
    regularised: Annotated[
        bool, typer.Option("--regularised", help="Smooth and shift: what does the class mean?")
    ] = False,
    confidence: Annotated[float, typer.Option(help="Aimed at, in (0, 1).")] = 0.99,
    steps: Annotated[int, typer.Option(help="Of the gradient, at most.", min=1)] = 200,
    step_size: Annotated[float, typer.Option(help="Of the gradient, in [0, 1] units.")] = 0.02,
    evaluations: Annotated[
        int, typer.Option(help="Images that evolution shows the model, at most.", min=1)
    ] = 20_000,
    data: options.MaybeData = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    *,
    loading: dict[str, Any],
) -> None:
    """Write images that a model names with confidence, a contact sheet, and a table.

    Example: epsball fool zoo:squeezenet --class "goldfish" --class 980 --out fooling
    """
    from epsball.cli.console.bars import Bars
    from epsball.cli.console.show import say
    from epsball.workflows.fool import SHEET
    from epsball.workflows.fool import fool as search

    with Bars() as bars:
        result = search(
            model,
            classes,
            out=out,
            by=by.value,
            encoding=encoding.value,
            start=start,
            regularised=regularised,
            confidence=confidence,
            steps=steps,
            step_size=step_size,
            evaluations=evaluations,
            data=data,
            seed=seed,
            device=device,
            progress=bars,
            **loading,
        )
    least = float(result.fooling.confidence.min())
    say(
        f"{result.reached} of {len(result.names)} images are named with {confidence:.0%} or more "
        f"(the least {least:.1%}); sheet: {result.path / SHEET}"
    )
