"""`epsball defend` and `epsball layers`: a fitted defence around a model of one's own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from epsball.cli.console import options
from epsball.cli.console.model_options import takes_model_options

Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", help="Whose activations it sees (epsball layers); repeatable."),
]


@takes_model_options
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
        str | None, typer.Option(help="In its place: share of clean images to reject, 0.05 or 5%.")
    ] = None,
    limit: options.Limit = None,
    device: options.Device = "auto",
    *,
    loading: dict[str, Any],
) -> None:
    """Fit a defence that may reject images around a model, which is not changed.

    Example: epsball defend zoo:base-cnn-robust --data mnist --limit 2000 --with dnr --out guarded
    """
    from epsball.cli.console.defence import show_fitted
    from epsball.cli.console.show import say
    from epsball.data import load_data
    from epsball.workflows.defend import defend as fit

    fitted = fit(
        model,
        load_data(data, split="train"),
        out=out,
        defence=defence,
        layers=layer or (),
        threshold=threshold,
        false_rejection=None
        if false_rejection is None
        else options.share(false_rejection, "--false-rejection"),
        limit=limit,
        device=device,
        **loading,
    )
    show_fitted(fitted, load_data(data))
    say(f"audit it: epsball audit defended:{fitted.folder} --data {data} --attack strongest")


@takes_model_options
def layers(
    model: options.Model,
    data: options.MaybeData = None,
    shape: Annotated[
        str | None, typer.Option(help="Of an image, in place of --data: 3x32x32.")
    ] = None,
    *,
    loading: dict[str, Any],
) -> None:
    """List the layers of a model that a defence can look at.

    Example: epsball layers zoo:base-cnn
    """
    from epsball.cli.console.show import say, show_table
    from epsball.workflows.layers import model_layers, parse_shape, written

    image_shape = None if shape is None else parse_shape(shape)
    listing = model_layers(model, data, shape=image_shape, **loading)
    rows = [[one.name, one.kind, written(one.shape), f"{one.features:,}"] for one in listing.layers]
    say(
        f"for images of {written(listing.shape)}"
        + (", which is a guess: --data or --shape says otherwise" if listing.guessed else "")
    )
    show_table(["layer", "kind", "output", "features"], rows)
