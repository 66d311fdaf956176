"""`epsball defend` and `epsball layers`: a fitted defence around a model of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from epsball.cli import _options as options

if TYPE_CHECKING:
    from epsball.evaluation.defending import FittedDefence

Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", help="Whose activations it sees (epsball layers); repeatable."),
]


def defend(
    model: options.Model,
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Folder of the defence; then defended:OUT names it.")],
    defence: Annotated[
        str,
        typer.Option("--with", help="nr, dnr, msp ... with settings: dnr:gamma=0.1,c=1."),
    ] = "dnr",
    layer: Layers = None,
    threshold: Annotated[float | None, typer.Option(help="Probability; below it: reject.")] = None,
    false_rejection: Annotated[
        float | None, typer.Option(help="In its place: share of clean pictures to reject.")
    ] = None,
    limit: options.Limit = None,
    weights: options.Weights = None,
    mean: options.Mean = None,
    std: options.Std = None,
    resize: options.Resize = None,
    channels: options.Channels = None,
    device: options.Device = "auto",
) -> None:
    """Fit a defence that may reject pictures around a model, which is not changed.

    Example: epsball defend zoo:base-cnn-robust --data mnist --limit 2000 --with dnr --out guarded
    """
    from epsball.data import load_data
    from epsball.evaluation.defending import defend as fit

    loading = options.loading(weights, mean, std, resize, channels)
    made = fit(
        model, load_data(data, split="train"), out=out, defence=defence, layers=layer or (),
        threshold=threshold, false_rejection=false_rejection, limit=limit, device=device, **loading,
    )  # fmt: skip
    _tell(made, data, device)


def _tell(made: "FittedDefence", data: str, device: str) -> None:
    from epsball.cli._show import say
    from epsball.evaluation.clean import clean_rates
    from epsball.evaluation.present import percent

    say(f"fitted on {made.pictures:,} pictures in {made.seconds:.0f} s")
    if kept := [f"{name} {count:,}" for name, count in made.support_vectors.items()]:
        say(f"support vectors: {', '.join(kept)}")
    right, rejected, count = clean_rates(f"defended:{made.folder}", data, device=device)
    say(
        f"of {count:,} clean test pictures {percent(right)} are accepted and right, "
        f"{percent(rejected)} are rejected"
    )
    say(f"audit it: epsball audit defended:{made.folder} --data {data} --attack strongest")


def layers(
    model: options.Model,
    data: options.Data,
    weights: options.Weights = None,
    mean: options.Mean = None,
    std: options.Std = None,
    resize: options.Resize = None,
    channels: options.Channels = None,
) -> None:
    """List the layers of a model that a defence can look at.

    Example: epsball layers zoo:base-cnn-robust --data digits
    """
    from epsball.cli._show import show_table
    from epsball.evaluation.defending import model_layers

    loading = options.loading(weights, mean, std, resize, channels)
    found = model_layers(model, data, **loading)
    rows = [
        [one.name, one.kind, "x".join(map(str, one.shape)), f"{one.features:,}"] for one in found
    ]
    show_table(["layer", "kind", "output", "features"], rows)
