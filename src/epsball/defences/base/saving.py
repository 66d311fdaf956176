"""A fitted rejector on disk: tensors as safetensors, the rest as JSON, nothing that runs."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from epsball.defences.base.model import info_of, scores_of_noise, where
from epsball.errors import InvalidInput
from epsball.files import write_atomically, write_bytes
from epsball.identity import model_hash
from epsball.runs.environment import versions
from epsball.runs.likeness import differ
from epsball.tensors import Classifier

if TYPE_CHECKING:
    from epsball.defences.base.rejector import Rejector

TENSORS, FACTS = "defence.safetensors", "defence.json"
_FORMAT = 1
_CHUNK = 1 << 20


def save(rejector: "Rejector", folder: Path) -> Path:
    """Write a fitted rejector: the tensors first, then what names them, each beside and renamed.

    Args:
        rejector: fitted.
        folder: made if need be.

    Returns:
        The folder.

    Raises:
        InvalidInput: it cannot be written to.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in rejector.learned().items()}
    write_atomically(folder / TENSORS, lambda beside: _write_tensors(tensors, beside))
    content = {
        "format": _FORMAT,
        "name": rejector.name,
        "settings": rejector.settings(),
        "classes": rejector.info.classes,
        "base": rejector.base_hash_,
        "base_scores": {"shape": rejector.base_shape_, "rows": rejector.base_scores_},
        "cut": rejector._cut,
        "scale": rejector._scale,
        "learned": rejector._facts(),
        "tensors": _hash(folder / TENSORS),
        "versions": versions("epsball", "torch", "numpy", "scikit-learn"),
    }
    write_bytes(folder / FACTS, (json.dumps(content, indent=2) + "\n").encode())
    return folder


def load(folder: Path | str, model: Classifier) -> "Rejector":
    """Read a rejector that `save` wrote, around the model it was fitted on.

    Args:
        folder: holds `defence.safetensors` and `defence.json`.
        model: that model, in eval mode; the rejector's tensors go where it is.

    Returns:
        The rejector, fitted.

    Raises:
        InvalidInput: the folder is not whole, or the model is another one.
    """
    from epsball.defences.table import rejector_named

    folder = Path(folder)
    content = _content(folder)
    actual = model_hash(model)
    if actual != content["base"]:
        raise InvalidInput(
            f"{folder} was fitted on a model whose hash is {content['base']}, this one's is "
            f"{actual}; give that model, or fit again"
        )
    _check_scores(folder, content.get("base_scores"), model)
    rejector = rejector_named(content["name"]).build(model, **content["settings"])
    _put(rejector, content, _tensors(folder, content["tensors"]))
    return rejector


def _check_scores(folder: Path, recorded: Mapping[str, Any] | None, model: Classifier) -> None:
    """Refuse a model of the same hash whose scores changed: it may read files, or call native code.

    A defence that an older version saved kept no scores.
    """
    if recorded and differ(recorded["rows"], scores_of_noise(model, recorded["shape"])):
        raise InvalidInput(
            f"{folder} was fitted on a model that gave other scores, though its hash is the same: "
            "what it reads or calls has changed; give that model as it was, or fit again"
        )


def _put(rejector: "Rejector", content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Give a rejector that was not fitted what another one learned."""
    place = where(rejector.model).device
    try:
        rejector._restore(content["learned"])
        for name, value in tensors.items():
            owner, _, leaf = name.rpartition(".")
            setattr(rejector.get_submodule(owner), leaf, value.to(place))
        rejector.info = info_of(rejector.model, int(content["classes"]), rejector.gives)
        rejector.base_hash_ = str(content["base"])
        recorded = content.get("base_scores") or {"shape": (), "rows": ()}
        rejector.base_shape_ = tuple(recorded["shape"])
        rejector.base_scores_ = tuple(map(tuple, recorded["rows"]))
        rejector._cut, rejector._scale = float(content["cut"]), float(content["scale"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(
            f"{rejector.name}: what was saved does not fit this version ({error}): fit again"
        ) from error
    rejector._fitted = True


def _content(folder: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except OSError:
        raise InvalidInput(
            f"{folder} holds no {FACTS}: name a folder that a defence was saved to"
        ) from None
    except ValueError as error:
        raise InvalidInput(f"{folder / FACTS} is not valid JSON ({error}): fit again") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InvalidInput(f"{folder / FACTS} is of another format than {_FORMAT}: fit again")
    return content


def _tensors(folder: Path, digest: str) -> Mapping[str, Tensor]:
    from safetensors.torch import load_file

    file = folder / TENSORS
    if not file.is_file() or _hash(file) != digest:
        raise InvalidInput(
            f"{file} is not the file that {FACTS} beside it was written with: copy both again, or "
            "fit again"
        )
    return load_file(file)


def _write_tensors(tensors: dict[str, Tensor], file: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, file)
    except SafetensorError as error:  # the disk's own errors come dressed up
        raise OSError(str(error)) from error


def _hash(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
