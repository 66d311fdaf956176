"""`epsball photo`: what the model says of a photograph of a printed sheet."""

from pathlib import Path
from typing import Annotated, Any

import typer

from epsball.cli.console import options
from epsball.cli.console.model_options import takes_model_options


@takes_model_options
def photo(
    folder: Annotated[Path, typer.Argument(help="What `epsball sheet --out` made.")],
    photographs: Annotated[list[Path], typer.Argument(help="Photographs, a page each.")],
    out: Annotated[Path, typer.Option(help="Directory to be made.", show_default=False)],
    model: Annotated[
        str | None, typer.Option(help="Another model than the one of the sheet.")
    ] = None,
    device: options.Device = "auto",
    *,
    loading: dict[str, Any],
) -> None:
    """Find the images in photographs of a sheet, cut them out, and score them.

    Example: epsball photo sheet IMG_0001.jpg IMG_0002.jpg --out photographed
    """
    from epsball.cli.console.show import say
    from epsball.evaluation.metrics.present import interval, percent
    from epsball.workflows.photographs import score_photographs

    result = score_photographs(
        folder,
        photographs,
        model=model,
        out=out,
        device=device,
        **loading,
    )
    say(
        f"{result.pairs} pairs: {result.clean_right} clean photographs get their label; the "
        f"photograph undoes {result.destroyed} adversarial images, destruction rate "
        f"{percent(result.destruction_rate)} ({interval(result.interval)}); {result.path}"
    )
