"""`epsball train`: a model of one's own, plain or hardened."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from epsball.cli.console import options
from epsball.cli.console.model_options import takes_model_options
from epsball.cli.console.train_options import given, takes_settings
from epsball.errors import InvalidInput

if TYPE_CHECKING:
    from torch import nn

    from epsball.training import TrainResult
    from epsball.types import Dataset

Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        help="ensemble, offline, two-step: a trained model to make examples on, and its weights; "
        "repeatable.",
        metavar="MODEL=WEIGHTS",
    ),
]


@takes_model_options
@takes_settings
def train(
    model: options.Model,
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Directory of the run; a killed one is continued.")],
    recipe: Annotated[str, typer.Option(help="See: epsball list recipes.")] = "standard",
    source: Sources = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    *,
    loading: dict[str, Any],
    **settings: Any,  # noqa: ANN401 - see _train_options
) -> None:
    """Train a model; what is left out takes values that suit the model.

    The best weights are OUT/model.safetensors. Given again, the command continues where it was
    stopped, to the same weights.

    Example: epsball train zoo:base-cnn --data mnist --recipe fgsm-mix --eps 0.3 --out hardened
    """
    from epsball.cli.console.show import say
    from epsball.report import write_training_report

    changes = given(settings) | {"recipe": recipe, "seed": seed, "device": device}
    result = trained(model, data, out, changes, loading, source or [])
    tell(result)
    say(test_accuracy(model, data, loading | {"weights": result.weights}, device))
    say(f"report: {write_training_report(out)}")


def tell(result: "TrainResult") -> None:
    """Print where the weights are, what they cost, and what the watch has to say."""
    from epsball.cli.console.show import err, say, show_finding

    for note in result.notes:
        show_finding(err(), note.as_dict())
    say(f"weights: {result.weights} (epoch {result.best_epoch})")
    say(f"cost: {result.gradient_evaluations:,} gradient evaluations, {result.seconds:.0f} s")


def trained(
    model: str,
    data: str,
    out: Path,
    changes: dict[str, Any],
    loading: dict[str, Any],
    sources: list[str] | None = None,
) -> "TrainResult":
    """Train a named model on named data, with a bar."""
    import numpy as np

    from epsball.cli.console.bars import Bars, EpochBars
    from epsball.cli.console.stopping import kept_run
    from epsball.data import load_data, to_unit
    from epsball.models import load_model
    from epsball.training import default_settings, fresh_weights
    from epsball.training import train as run_training
    from epsball.training.run.manifest import epochs_finished, is_begun
    from epsball.training.setup.threads import suited_threads

    images = load_data(data, split="train")
    settings = default_settings(model, len(images), **changes)
    classes = len(images.class_names)
    others = [_source(text, classes, loading) for text in sources or []]
    with fresh_weights(settings.seed):
        loaded = load_model(model, classes=classes, require_weights=False, **loading).model
    with kept_run(out, "epochs"), Bars() as bars:
        if finished := epochs_finished(out):
            bars.say(
                f"{out} has {finished} finished epochs, to go on from; {settings.epochs} in all"
            )
        progress = EpochBars(bars, settings.epochs)
        module = _module(loaded, model)
        images = _labelled(module, images)
        batch = to_unit(images.read(np.arange(min(settings.batch_size, len(images)))))
        # a run that is continued goes on with the threads it began with
        suited = nullcontext() if is_begun(out) else suited_threads(module, batch, settings, others)
        with suited:
            return run_training(
                module, images, settings, out=out, progress=progress, sources=others
            )


def test_accuracy(model: str, data: str, loading: dict[str, Any], device: str) -> str:
    """Return a line on the accuracy of trained weights, on images they were not trained on.

    Data that are not split give the same images to train on and to test on: the line then has no
    number, because an accuracy on training images says nothing about others. Test images that are
    among the training images are left out.
    """
    from epsball.data import load_data, part_of, same_images, unseen_rows
    from epsball.evaluation.metrics.present import percent
    from epsball.models import load_model
    from epsball.workflows.clean import clean_accuracy

    seen, test = load_data(data, split="train"), load_data(data, split="test")
    advice = "measure on others: epsball audit MODEL --weights WEIGHTS --data OTHER"
    if same_images(seen, test):
        return (
            f"clean accuracy: not measured, {data} is not split, so all its images were trained "
            f"on; {advice}"
        )
    rows = unseen_rows(seen, test)
    if not len(rows):
        return (
            f"clean accuracy: not measured, all test images of {data} are among its training "
            f"images; {advice}"
        )
    module = _module(load_model(model, **loading).model, model)
    module.eval()  # a factory of one's own gives it back as it is for training
    accuracy, (low, high), count = clean_accuracy(
        module, _labelled(module, part_of(test, rows)), device=device
    )
    fewer = len(test) - len(rows)
    more = f"; {fewer:,} that are among the training images are left out" if fewer else ""
    return (
        f"clean accuracy on the test images: {accuracy:.2%} "
        f"({percent(low)} to {percent(high)}, {count:,} images{more})"
    )


def _labelled(module: "nn.Module", data: "Dataset") -> "Dataset":
    """Return data with labels in the order of the model's classes, where it names them."""
    from dataclasses import replace

    from epsball.evaluation.class_matching import fit_classes
    from epsball.models import class_names_of

    names = class_names_of(module)
    if names is None or len(names) != len(data.class_names):
        return replace(data, order="stated")  # training makes the labels the model's own
    return fit_classes(data, type(module).__name__, len(names), names)[0]


def _source(text: str, classes: int, loading: dict[str, Any]) -> "nn.Module":
    """Load MODEL=WEIGHTS, or MODEL where its weights come with it."""
    from epsball.models import load_model

    name, _, weights = text.partition("=")
    arguments = loading | {"weights": Path(weights) if weights else None}
    return _module(load_model(name, classes=classes, **arguments).model, f"--source {name}")


def _module(model: object, name: str) -> "nn.Module":
    from torch import nn

    if not isinstance(model, nn.Module):
        raise InvalidInput(f"{name} is no torch module and cannot be trained; give a module")
    return model
