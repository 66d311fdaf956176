"""The hash of a model that was asked for by name."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from epsball.identity import model_hash
from epsball.models.loading.request import split_spec


def fingerprint(model: Callable[..., Any], spec: str = "") -> str:
    """Hash a model, so that a run is only continued on the very model it was begun with.

    What counts: parameters and buffers, with their names and types; the structure, settings and
    source of modules; the source of any other callable, and what it holds; the bytes of the file
    that `spec` names. Where that file lies, the device and the mode do not count.

    Args:
        model: a module or any other callable.
        spec: how it was asked for, as `load_model` takes it; "" when it came as an object.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> fingerprint(nn.ReLU()) == fingerprint(nn.ReLU())
        True
        >>> fingerprint(nn.ReLU()) == fingerprint(nn.Tanh())
        False
    """
    return model_hash(model, _source_file(spec))


def count_parameters(model: Callable[..., Any]) -> int | None:
    """Return the number of parameters of a module; None for any other callable."""
    return sum(p.numel() for p in model.parameters()) if isinstance(model, nn.Module) else None


def _source_file(spec: str) -> Path | None:
    source, name = split_spec(spec) if spec else ("", "")
    if source in {"onnx", "pt2", "jit", "sklearn"}:
        return _existing(name)
    place = name.rpartition(":")[0]
    if source == "file":
        return _existing(place)
    return _module_file(place) if source == "package" else None


def _existing(path: str) -> Path | None:
    return Path(path) if Path(path).is_file() else None


def _module_file(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None
