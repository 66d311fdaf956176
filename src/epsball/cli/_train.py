"""`epsball train`: a model of one's own, plain or hardened."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from epsball.cli import _options as options
from epsball.errors import InvalidInput

if TYPE_CHECKING:
    from epsball.training import TrainResult


def train(
    model: options.Model,
    data: options.Data,
    out: Annotated[Path, typer.Option(help="Directory of the run; a killed one is continued.")],
    recipe: Annotated[str, typer.Option(help="standard or fgsm-mix.")] = "standard",
    eps: Annotated[
        str | None, typer.Option(help="fgsm-mix, pgd: radius of the examples, 0.1 or 8/255.")
    ] = None,
    attack_steps: Annotated[
        int | None, typer.Option(help="pgd: gradient steps that make an example.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="fgsm-mix: weight of the clean loss, in [0, 1].")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="fgsm-mix: whose gradient: true, predicted, least_likely, random."),
    ] = None,
    l1: Annotated[float | None, typer.Option(help="Penalty on the sum of |w|.")] = None,
    l2: Annotated[float | None, typer.Option(help="Penalty on the sum of w^2.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="In [0, 1).")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, rmsprop or adam.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate, the highest.")] = None,
    momentum: Annotated[float | None, typer.Option(help="In [0, 1).")] = None,
    decay: Annotated[float | None, typer.Option(help="Keras' decay per update.")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant, cosine, one-cycle.")] = None,
    validation: Annotated[float | None, typer.Option(help="Share held out, in [0, 1).")] = None,
    patience: Annotated[int | None, typer.Option(help="Epochs without progress.")] = None,
    min_delta: Annotated[float | None, typer.Option(help="What counts as progress.")] = None,
    weights: options.Weights = None,
    mean: options.Mean = None,
    std: options.Std = None,
    resize: options.Resize = None,
    channels: options.Channels = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: Annotated[
        str | None, typer.Option(help="auto, float32 or bfloat16 (weights stay float32).")
    ] = None,
) -> None:
    """Train a model; what is left out takes values that suit the model.

    The best weights are OUT/model.safetensors. Given again, the command continues where it was
    stopped, to the same weights.

    Example: epsball train zoo:base-cnn --data mnist --recipe fgsm-mix --eps 0.3 --out hardened
    """
    from epsball.cli._show import say
    from epsball.evaluation.settings import parse_eps

    given: dict[str, Any] = {
        "alpha": alpha, "attack_steps": attack_steps, "reference": reference, "l1": l1, "l2": l2,
        "epochs": epochs,
        "label_smoothing": label_smoothing, "batch_size": batch_size, "optimizer": optimizer,
        "lr": lr, "momentum": momentum, "decay": decay, "schedule": schedule,
        "validation": validation, "patience": patience, "min_delta": min_delta,
        "precision": precision, "eps": None if eps is None else parse_eps(eps),
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {"recipe": recipe, "seed": seed, "device": device}
    loading = options.loading(weights, mean, std, resize, channels)
    result = trained(model, data, out, changes, loading)
    say(f"weights: {result.weights} (epoch {result.best_epoch}, {result.seconds:.0f} s)")
    accuracy = test_accuracy(model, data, loading | {"weights": result.weights}, device)
    say(f"clean accuracy on the test pictures: {accuracy}")


def trained(
    model: str,
    data: str,
    out: Path,
    changes: dict[str, Any],
    loading: dict[str, Any],
) -> "TrainResult":
    """Train a named model on named data, with a bar."""
    from torch import nn

    from epsball.cli._show import Bars, EpochBars
    from epsball.data import load_data
    from epsball.models import load_model
    from epsball.training import default_settings, fresh_weights
    from epsball.training import train as run_training

    pictures = load_data(data, split="train")
    settings = default_settings(model, len(pictures), **changes)
    with fresh_weights(settings.seed):
        loaded = load_model(
            model, classes=len(pictures.class_names), require_weights=False, **loading
        )
    if not isinstance(loaded.model, nn.Module):
        raise InvalidInput(f"{model} is no torch module and cannot be trained; give a module")
    with Bars() as bars:
        progress = EpochBars(bars, settings.epochs)
        return run_training(loaded.model, pictures, settings, out=out, progress=progress)


def test_accuracy(model: str, data: str, loading: dict[str, Any], device: str) -> str:
    """Return the accuracy of trained weights on the test pictures, with its interval."""
    from torch import nn

    from epsball.evaluation.clean import clean_accuracy
    from epsball.evaluation.present import percent
    from epsball.models import load_model

    module = load_model(model, **loading).model
    if isinstance(module, nn.Module):
        module.eval()  # a factory of one's own gives it back as it is for training
    accuracy, (low, high), count = clean_accuracy(module, data, device=device)
    return f"{accuracy:.2%} ({percent(low)} to {percent(high)}, {count:,} pictures)"
