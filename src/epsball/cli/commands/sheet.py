"""`epsball sheet`: a PDF of clean and adversarial pairs, to be printed and photographed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from epsball.cli.console import options
from epsball.cli.console.model_options import takes_model_options


@takes_model_options
def sheet(
    model: options.Model,
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Directory to be made.", show_default=False)],
    attack: Annotated[str, typer.Option(help="fgsm, bim; pgd:steps=100.")] = "fgsm",
    norm: options.NormName = "linf",
    eps: Annotated[str | None, typer.Option(help="Radius, 0.1 or 16/255; by the data.")] = None,
    steps: options.Steps = None,
    count: Annotated[int, typer.Option(help="Pairs, three a page.", min=1)] = 6,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    *,
    loading: dict[str, Any],
) -> None:
    """Write a PDF of clean and adversarial pairs with markers, for `epsball photo`.

    Example: epsball sheet zoo:squeezenet --data imagenet-sample --eps 16/255 --out sheet
    """
    from epsball.cli.console.bars import Bars
    from epsball.cli.console.show import say
    from epsball.physical.printing import PDF
    from epsball.workflows.sheet import make_sheet

    with Bars() as bars:
        result = make_sheet(
            model,
            data,
            out=out,
            attack=attack,
            norm=norm,
            eps=eps,
            steps=steps,
            count=count,
            seed=seed,
            device=device,
            progress=bars,
            **loading,
        )
    say(
        f"{len(result.pairs)} pairs on {result.pages} pages: {out / PDF}; print it without scaling,"
    )
    say(f"photograph each page, then: epsball photo {out} PHOTO... --out DIR")
