"""Models with a fitted defence around them, opened by name.

`epsball defend` leaves a folder with what `epsball.defences` saves, and `base.json`, which says how
the model inside was asked for. So `defended:FOLDER` names a model like any other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from epsball.defences import load
from epsball.defences.base.model import check_mode
from epsball.errors import InvalidInput
from epsball.files import read_json
from epsball.models import as_logits, load_model, probe
from epsball.models.loading.request import options_given
from epsball.tensors import Classifier

SCHEME = "defended:"
BASE = "base.json"


def open_bare(spec: str, sample: Tensor, device: str, loading: Mapping[str, Any]) -> nn.Module:
    """Open the model that a defence is put around, as it gives logits.

    Args:
        spec: as `load_model` takes it.
        sample: (m, c, h, w), a few clean images.
        device: where it goes.
        loading: more arguments of `load_model`.

    Raises:
        InvalidInput: it cannot be loaded, is in train mode, or is no module.
    """
    model = load_model(spec, device=device, **loading).model
    check_mode(model, spec)
    logits = as_logits(model, probe(model, sample.to(device)))
    if not isinstance(logits, nn.Module):
        raise InvalidInput(f"{spec} is no torch module, so a defence cannot be put around it")
    return logits


def open_defended(
    spec: str, sample: Tensor, device: str, loading: Mapping[str, Any]
) -> tuple[Classifier, str]:
    """Open a defence that was fitted, around its own model.

    Args:
        spec: "defended:FOLDER".
        sample: (m, c, h, w), a few clean images.
        device: where it goes.
        loading: must name nothing: the folder knows how its model is loaded.

    Returns:
        The rejector, and a short name for titles.

    Raises:
        InvalidInput: the folder is not whole, or the model inside is not the one of the fit.
    """
    if options := [key for key in options_given(loading) if key != "trust"]:
        raise InvalidInput(
            f"{', '.join(options)}: {spec} knows how the model inside is loaded; leave it out"
        )
    folder = Path(spec.removeprefix(SCHEME))
    content = read_json(folder / BASE, "defend")
    base = open_bare(
        _found_model(content["model"], folder),
        sample,
        device,
        {name: _found(value, folder) for name, value in content["loading"].items()}
        | {"trust": loading.get("trust", True)},
    )
    rejector = load(folder, base)
    # the folder keeps whole paths, and a title wants none
    inside = ":".join(Path(part).name for part in content["model"].split(":"))
    return cast(Classifier, rejector), f"{inside} + {rejector.name}"


def _found_model(spec: str, folder: Path) -> str:
    """Return a model's spec with its file where that is now."""
    head, _, tail = spec.partition(":")
    if Path(tail).is_absolute():
        return f"{head}:{_found(tail, folder)}"
    file, _, factory = spec.rpartition(":")
    return f"{_found(file, folder)}:{factory}" if Path(file).is_absolute() else spec


def _found(value: Any, folder: Path) -> Any:  # noqa: ANN401 - any option of load_model
    """Return where a file is now that was named by its whole path; it may have moved along.

    Raises:
        InvalidInput: it is neither there, nor in the defence's folder, nor beside that.
    """
    if not isinstance(value, str) or not Path(value).is_absolute():
        return value
    name = Path(value).name
    for place in (Path(value), folder / name, folder.parent / name):
        if place.exists():
            return str(place)
    raise InvalidInput(
        f"{folder} was fitted around {value}, which is gone: put it back, or into the folder, or "
        f"write its new place into {folder / BASE}"
    )
