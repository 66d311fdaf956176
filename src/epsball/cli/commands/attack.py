"""`epsball attack`: adversarial images to take away."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from epsball.cli.console import options
from epsball.cli.console.model_options import takes_model_options


class Form(StrEnum):
    """How images are written."""

    npz = "npz"
    png = "png"


@takes_model_options
def attack(
    model: options.Model,
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Directory to be made.", show_default=False)],
    attack: Annotated[str, typer.Option(help="fgsm, bim, pgd, noise; pgd:steps=100.")] = "pgd",
    norm: options.NormName = "linf",
    eps: Annotated[str | None, typer.Option(help="Radius, 0.1 or 8/255; by the data.")] = None,
    target: options.Target = None,
    steps: options.Steps = None,
    restarts: options.Restarts = 1,
    form: Annotated[
        Form, typer.Option("--format", help="npz: exact floats; png: rounded, a folder a class.")
    ] = Form.npz,
    limit: options.Limit = None,
    sample: options.SampleName = options.Sample.auto,
    label: options.Label = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    *,
    loading: dict[str, Any],
) -> None:
    """Write adversarial images in their original size, with a CSV of what they are taken for.

    Both formats can be audited again: --data npz:OUT/adversarial.npz, --data folder:OUT.

    Example: epsball attack zoo:squeezenet --data imagenet-sample --eps 4/255 --format png --out adv
    """
    from epsball.cli.console.bars import Bars
    from epsball.cli.console.show import say
    from epsball.workflows.craft import craft

    with Bars() as bars:
        result = craft(
            model,
            data,
            out=out,
            attack=attack,
            norm=norm,
            eps=eps,
            steps=steps,
            target=target,
            restarts=restarts,
            form=form.value,
            limit=limit,
            sample=sample.value,
            label=label,
            seed=seed,
            device=device,
            progress=bars,
            **loading,
        )
    say(
        f"{result.n:,} images in {result.path}: {result.fooled:,} are taken for another class "
        f"({result.clean_wrong:,} were when clean)"
    )
