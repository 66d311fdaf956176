"""Models of timm, torchvision, Hugging Face and RobustBench, scaled as they were trained."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from epsball.errors import InvalidInput, unknown_name
from epsball.models.loading.fetching import fetched
from epsball.models.loading.hub_processor import read_processor
from epsball.models.loading.messages import unknown_among
from epsball.models.loading.request import Built, Request, optional
from epsball.models.loading.weights import load_weights, names_in
from epsball.models.names import ATTRIBUTE

WITH_FOLDER = "save it elsewhere with save_pretrained and name the folder, hf:FOLDER"
PLACE = ("cifar10", "Linf")  # where a bare RobustBench name is looked for


def from_timm(request: Request) -> Built:
    """Build a model of timm; mean and std are those of its pretrained configuration.

    Raises:
        InvalidInput: timm is missing, does not know the name, or cannot fetch the weights.
    """
    timm = optional("timm", extra="timm", needed_by=request.spec)
    remote = ":" in request.name  # hf-hub:user/model, which timm resolves by itself
    if not remote and not timm.is_model(request.name.partition(".")[0]):
        raise unknown_among("timm model", request.name, timm.list_models(), "timm.list_models()")
    model = fetched(
        request,
        lambda: timm.create_model(
            request.name, pretrained=request.wants_published, **_head(request, "num_classes")
        ),
    )
    if not model.num_classes:
        raise InvalidInput(
            f"{request.spec} is a backbone without a classifier: its features are no classes; name "
            "a model that was fine-tuned for classification, or give --weights FILE --classes K"
        )
    if request.wants_published and not hasattr(model, ATTRIBUTE):
        setattr(model, ATTRIBUTE, _timm_names(timm, model))
    trained = model.pretrained_cfg
    return _finished(request, model, trained.get("mean"), trained.get("std"), model.num_classes)


def _timm_names(timm: Any, model: nn.Module) -> tuple[str, ...] | None:  # noqa: ANN401  # untyped
    """Return the names of the classes of ImageNet that published weights of timm were trained on.

    A label is named by its synset, which folders of ImageNet are named by, and by its words.
    """
    subset = timm.data.infer_imagenet_subset(model)
    if subset is None:
        return None
    info = timm.data.ImageNetInfo(subset)
    return tuple(
        f"{info.index_to_label_name(number)}\t{info.index_to_description(number)}"
        for number in range(info.num_classes())
    )


def from_torchvision(request: Request) -> Built:
    """Build a classifier of torchvision; mean and std are those of its default weights.

    Raises:
        InvalidInput: torchvision is missing, does not know the name, or cannot fetch the weights.
    """
    models = optional("torchvision.models", extra="torchvision", needed_by=request.spec)
    known = models.list_models(module=models)
    if request.name not in known:
        raise unknown_among(
            "torchvision model", request.name, known, "torchvision.models.list_models()"
        )
    default = models.get_model_weights(request.name).DEFAULT
    weights = default if request.wants_published else None
    extra = _head(request, "num_classes") | _as_published(request)
    model = fetched(request, lambda: models.get_model(request.name, weights=weights, **extra))
    trained, categories = default.transforms(), default.meta["categories"]
    if request.wants_published:
        setattr(model, ATTRIBUTE, tuple(categories))
    return _finished(request, model, trained.mean, trained.std, len(categories))


# Networks that torchvision builds in another way for its published weights: their input is scaled
# once more inside, and the heads that help training are there only if the weights have them.
_TRANSFORMED = {"inception_v3": "AuxLogits.", "googlenet": "aux1."}


def _as_published(request: Request) -> dict[str, Any]:
    """Give the arguments that torchvision builds a network with when it loads published weights.

    A file of one's own is taken to be fine-tuned from these, as mean and std are.
    """
    if request.wants_published or request.name not in _TRANSFORMED:
        return {}
    arguments: dict[str, Any] = {"transform_input": True, "init_weights": True}
    if request.weights is not None:
        head = _TRANSFORMED[request.name]
        arguments["aux_logits"] = any(key.startswith(head) for key in names_in(request.weights))
    return arguments


class HubLogits(nn.Module):
    """A classifier of transformers, reduced to its logits.

    Args:
        model: takes `pixel_values`, returns an object with `logits`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (n, k) for normalised images (n, c, h, w)."""
        logits: Tensor = self.model(pixel_values=inputs).logits
        return logits


def from_hf(request: Request) -> Built:
    """Build an image classifier of Hugging Face behind what its image processor does to pixels.

    Images have to have the processor's size already, or are resized by --resize.

    The name may be a folder that `save_pretrained` wrote. Weights of one's own are the `state_dict`
    of the model, under the names that the installed transformers gives them.

    Raises:
        InvalidInput: transformers is missing, or cannot fetch the model.
    """
    hf = optional("transformers", extra="hf", needed_by=request.spec)
    processing = optional("transformers.image_processing_utils", extra="hf", needed_by=request.spec)
    model = _hf_model(hf, request)
    # The settings and not the processor: the processors themselves need torchvision.
    read = processing.BaseImageProcessor.get_image_processor_dict
    settings, _ = fetched(request, lambda: read(request.name), WITH_FOLDER)
    pixels = read_processor(request.spec, settings, hf)
    built = _finished(request, model, pixels.mean, pixels.std, model.config.num_labels)
    return replace(
        built,
        model=HubLogits(model).eval(),
        channels="bgr" if pixels.flipped else None,
        size=pixels.size,
    )


def _hf_model(hf: Any, request: Request) -> Any:  # noqa: ANN401  # transformers has no types
    auto = hf.AutoModelForImageClassification
    if not request.wants_published:
        head = _head(request, "num_labels")
        read = hf.AutoConfig.from_pretrained
        return auto.from_config(fetched(request, lambda: read(request.name, **head), WITH_FOLDER))
    model, loading = fetched(
        request, lambda: auto.from_pretrained(request.name, output_loading_info=True), WITH_FOLDER
    )
    # A backbone alone would get a head of random weights, and only a log line would say so.
    if missing := sorted(loading["missing_keys"]):
        raise InvalidInput(
            f"{request.spec} has no trained weights for {', '.join(missing[:3])}: it is a backbone "
            "without a classifier, name a model that was fine-tuned for classification"
        )
    return model


def from_robustbench(request: Request) -> Built:
    """Build a defended model of RobustBench: NAME (CIFAR-10, Linf) or DATASET/THREAT/NAME.

    Raises:
        InvalidInput: robustbench is missing, does not know the name, or cannot fetch the weights.
    """
    import pooch

    bench = optional("robustbench", extra="robustbench", needed_by=request.spec)
    zoo = optional("robustbench.model_zoo", extra="robustbench", needed_by=request.spec)
    *place, name = request.name.split("/")
    dataset, threat = _bench_place(place or list(PLACE), zoo.model_dicts, request)
    entries = zoo.model_dicts[dataset][threat]
    if name not in entries:
        raise unknown_among(
            f"RobustBench model for {_value(dataset)}/{_value(threat)}",
            name,
            entries,
            "https://robustbench.github.io",
        )
    if not request.wants_published:
        return _finished(request, entries[name]["model"](), None, None, None)
    folder = Path(pooch.os_cache("epsball")) / "robustbench"
    place_of = {"model_dir": folder, "dataset": dataset, "threat_model": threat}
    model = fetched(request, lambda: bench.load_model(model_name=name, **place_of))
    return _finished(request, model, None, None, None)


def _bench_place(
    place: list[str], tables: Mapping[Any, Mapping[Any, object]], request: Request
) -> tuple[Any, Any]:
    places = {
        f"{_value(dataset)}/{_value(threat)}": (dataset, threat)
        for dataset, threats in tables.items()
        for threat in threats
    }
    if (key := "/".join(place)) not in places:
        raise unknown_name(f"place in {request.spec}", key, places)
    return places[key]


def _value(member: Any) -> str:  # noqa: ANN401  # an enum of a package without types
    return str(getattr(member, "value", member))


def _head(request: Request, argument: str) -> dict[str, int]:
    """Give the number of classes to build with; published weights bring their own."""
    if request.classes is None or request.wants_published:
        return {}
    return {argument: request.classes}


def _finished(
    request: Request,
    model: nn.Module,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    classes: int | None,
) -> Built:
    known = None not in (request.classes, classes)
    if request.wants_published and known and request.classes != classes:
        raise InvalidInput(
            f"{request.spec} names {classes} classes, {request.classes} are wanted: "
            "give weights of your own with --weights FILE"
        )
    if request.weights is not None:
        load_weights(model, request.weights)
    name = request.name.rpartition("/")[2]
    return Built(model.eval(), name, tuple(mean) if mean else None, tuple(std) if std else None)
