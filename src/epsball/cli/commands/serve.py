"""`epsball serve`: a model as a label-only oracle over HTTP."""

from pathlib import Path
from typing import Annotated, Any

import typer

from epsball.cli.console import options
from epsball.cli.console.model_options import takes_model_options


@takes_model_options
def serve(
    model: options.Model,
    data: options.Data,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8000,
    port_file: Annotated[Path | None, typer.Option(help="Write the port here.")] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Count queries in this file, which outlives the server.")
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Answer with names of classes.")] = False,
    max_mebibytes: Annotated[int, typer.Option(help="Of a request.", min=1)] = 16,
    detect: Annotated[
        bool, typer.Option("--detect", help="Count series of similar queries.")
    ] = False,
    block: Annotated[
        bool, typer.Option("--block", help="With --detect: refuse clients that are detected.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(help="Of --detect: mean distance to the nearest earlier queries.")
    ] = 0.02,
    neighbours: Annotated[int, typer.Option(help="Of --detect: how many are nearest.")] = 10,
    *,
    loading: dict[str, Any],
) -> None:
    """Serve a model that answers with labels only, for tests and demonstrations.

    POST /classify takes .npy (uint8, or float32 in [0, 1]; application/x-npy), one PNG (image/png)
    or {"images": [...]} and returns {"labels": [...]}; GET /ledger returns what was counted. The
    data set gives the size of the images and the names of the classes.

    Example: epsball serve zoo:base-cnn --weights DIR/model.safetensors --data mnist
    """
    from epsball.cli.console.show import say
    from epsball.data import load_data
    from epsball.errors import InvalidInput
    from epsball.evaluation.class_matching import names_of_labels
    from epsball.evaluation.inputs import sample_of
    from epsball.evaluation.subject import open_model
    from epsball.models.loading.request import optional
    from epsball.oracles.serving.app import MEBIBYTE, build_app
    from epsball.oracles.serving.counter import Counter
    from epsball.oracles.serving.detector import Detector, DetectorSettings
    from epsball.oracles.serving.run import run_server

    if block and not detect:
        raise InvalidInput("serve: --block needs --detect: add it")
    for package in ("fastapi", "uvicorn"):
        optional(package, extra="serve", needed_by="serve")
    images = load_data(data, split="test")
    subject = open_model(model, sample_of(images, 2)[0], "cpu", **loading)
    subject.refuse_findings()
    words = names_of_labels(subject, images) if names else ()
    settings = DetectorSettings(threshold=threshold, neighbours=neighbours, block=block)
    app = build_app(
        subject.model,
        images.shape,
        counter=Counter(ledger),
        names=words,
        max_bytes=max_mebibytes * MEBIBYTE,
        detector=Detector(settings) if detect else None,
    )
    say(f"serving {model} for images {images.shape} at http://{host}:{port}/classify")
    run_server(app, host=host, port=port, port_file=port_file)
