"""The preprocessing and the classes of a model as metadata of a file of its weights."""

import json
from collections.abc import Sequence

from epsball.models.preprocess import Pipeline

METADATA_KEY = "epsball.preprocess"
CLASSES_KEY = "epsball.class_names"


def class_names_metadata(names: Sequence[str]) -> dict[str, str]:
    """Return metadata that name the classes of a model, in the order of its scores.

    Example:
        >>> class_names_metadata(("cat", "dog"))
        {'epsball.class_names': '["cat", "dog"]'}
    """
    return {CLASSES_KEY: json.dumps(list(names))}


def preprocessing_metadata(model: object) -> dict[str, str]:
    """Return metadata that describe the preprocessing before a model, for a file of its weights.

    Args:
        model: any; without a `Pipeline` there are no metadata.

    Returns:
        Metadata for safetensors, which `load_model` reads where no preprocessing is given.

    Example:
        >>> from torch import nn
        >>> from epsball.models.preprocess import Preprocess
        >>> preprocessing_metadata(Pipeline(Preprocess(mean=(0.5,), std=(0.25,)), nn.Flatten()))
        {'epsball.preprocess': '{"mean": [0.5], "std": [0.25]}'}
    """
    if not isinstance(model, Pipeline):
        return {}
    layer = model.preprocess
    mean, std = ([float(f"{v:.7g}") for v in t.flatten().tolist()] for t in (layer.mean, layer.std))
    settings = {
        "mean": mean if any(mean) else None,
        "std": std if {*std} != {1.0} else None,
        "resize": layer.resize,
        "channels": layer.channels,
        "input_range": None if layer.input_range == 1 else layer.input_range,
        "layout": layer.layout,
    }
    known = {key: value for key, value in settings.items() if value is not None}
    return {METADATA_KEY: json.dumps(known)} if known else {}
