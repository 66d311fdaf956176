"""The table of architectures, and the loading of `zoo:NAME`."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from epsball.errors import InvalidInput, unknown_name
from epsball.models.loading.request import Built, Request
from epsball.models.loading.weights import load_weights, read_weights
from epsball.models.zoo.base_cnn import build_base_cnn
from epsball.models.zoo.mlp import build_mlp
from epsball.models.zoo.resnet_cifar import build_resnet_cifar
from epsball.models.zoo.squeezenet import build_squeezenet
from epsball.models.zoo.vgg_cifar import build_vgg_cifar


@dataclass(frozen=True)
class ModelSpec:
    """One architecture of the zoo.

    Args:
        name: as it is asked for.
        build: makes it with fresh weights, in train mode; takes `classes` and its own settings by
            name.
        input_shape: (c, h, w) of the images it was made for.
        classes: k, when nothing else is asked for.
        parameters: how many it then has.
        source: where it comes from.
        weights: published weights, below `$EPSBALL_DATA`, the user's cache or this folder, for
            those that come along; None: train it.
        sha256: of that file.
        names_imagenet: whether these weights name the classes of ImageNet, in its order.
    """

    name: str
    build: Callable[..., nn.Module]
    input_shape: tuple[int, int, int]
    classes: int
    parameters: int
    source: str
    weights: str | None = None
    sha256: str | None = None
    names_imagenet: bool = False


MODELS = {
    spec.name: spec
    for spec in (
        ModelSpec("mlp", build_mlp, (1, 28, 28), 10, 496_885, "Limaye, Tirupari and Rangan"),
        ModelSpec(
            "base-cnn", build_base_cnn, (1, 28, 28), 10, 734_602, "Thanthulage; Sotgiu et al. 2020"
        ),
        ModelSpec(
            "base-cnn-robust",
            build_base_cnn,
            (1, 28, 28),
            10,
            734_602,
            "base-cnn, recipe pgd at eps 0.3 on MNIST; weights come along",
            weights="shipped/base-cnn-robust.safetensors",
            sha256="bbf7bf80b2ccd11d0972277e3819f9044922da71c6ca3795a84992adf11e7154",
        ),
        ModelSpec(
            "resnet-cifar",
            build_resnet_cifar,
            (3, 32, 32),
            10,
            75_290,
            "He et al. 2016, arXiv:1512.03385",
        ),
        ModelSpec("vgg-cifar", build_vgg_cifar, (3, 32, 32), 10, 1_525_738, "Possas, thesis"),
        ModelSpec(
            "squeezenet",
            build_squeezenet,
            (3, 224, 224),
            1000,
            1_248_424,
            "arXiv:1602.07360; weights: songhan/SqueezeNet-Deep-Compression",
            weights="imagenet_model/squeezenet1_0_deepcompressed.safetensors",
            sha256="86b2e5e6d40e2191e2a705092501be41c6af857036e2a1c277ede9f113d29311",
            names_imagenet=True,
        ),
    )
}


def from_zoo(request: Request) -> Built:
    """Build an architecture of the table and give it its weights.

    Raises:
        InvalidInput: no such name, no weights for it, or weights that do not fit.
    """
    if request.name not in MODELS:
        raise unknown_name("model", f"zoo:{request.name}", [f"zoo:{name}" for name in MODELS])
    spec = MODELS[request.name]
    file = _published(spec, request) if request.wants_published else request.weights
    model = spec.build(classes=_classes(spec, request))
    if file is not None:
        load_weights(model, file)
    return Built(model.eval(), spec.name)


def _classes(spec: ModelSpec, request: Request) -> int:
    """Give the number of classes asked for, else that of the weights, else the usual one."""
    if request.classes is not None or request.weights is None:
        return request.classes or spec.classes
    wanted = spec.build().state_dict()
    last = list(wanted)[-1]  # the bias of the layer that gives the scores
    bias = read_weights(request.weights, wanted).get(last)
    return len(bias) if bias is not None and bias.ndim == 1 else spec.classes


def _published(spec: ModelSpec, request: Request) -> Path:
    name = f"zoo:{spec.name}"
    if spec.weights is None:
        raise InvalidInput(
            f"{name} has no published weights: train it first: epsball train {name} --data mnist "
            "--out DIR, then --weights DIR/model.safetensors"
        )
    if request.classes not in (None, spec.classes):
        raise InvalidInput(
            f"{name}: the published weights name {spec.classes} classes, {request.classes} are "
            "wanted: give weights of your own with --weights FILE"
        )
    places = [folder / spec.weights for folder in _folders()]
    weights = next((file for file in places if file.is_file()), None)
    if weights is None:
        raise InvalidInput(
            f"{name}: the published weights are not at {' or '.join(map(str, places))}: put the "
            "file there, or give your own with --weights FILE"
        )
    if hashlib.sha256(weights.read_bytes()).hexdigest() != spec.sha256:
        raise InvalidInput(
            f"{name}: {weights} is not the published file (its sha256 is another): fetch it again, "
            f"or load it on purpose with --weights {weights}"
        )
    return weights


def _folders() -> list[Path]:
    import pooch

    data = os.environ.get("EPSBALL_DATA")
    folders = [Path(data)] if data else []
    return [*folders, Path(pooch.os_cache("epsball")), Path(__file__).parent]
