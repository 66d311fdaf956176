"""Reading weight files without ever running what is in them."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.models.loading.messages import one_line

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
)  # where checkpoints keep their weights
# Parts of names that wrappers add: DataParallel, torch.compile, FSDP, activation checkpoints.
ADDED = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
COUNTER = "n_averaged"  # what torch's AveragedModel keeps beside the weights
SHOWN = 3  # names in a message

# What a person who trusts the file runs once, in one line of a terminal.
CONVERT = (
    'python -c "import torch; from safetensors.torch import save_file; '
    "m = torch.load('{file}', map_location='cpu', weights_only=False); "
    "s = m.state_dict() if hasattr(m, 'state_dict') else m.get('state_dict', m); "
    "save_file({{k: v.clone().contiguous() for k, v in s.items()}}, '{target}')\""
)


def load_weights(module: nn.Module, file: Path) -> None:
    """Put the weights of a file into a module, all of them or none.

    Args:
        module: built already, with the shapes the file was written for; changed in place.
        file: `.safetensors`, or anything `torch.save` wrote, which is read with
            `weights_only=True`. The usual wrappings ("state_dict", "model", a part that every name
            begins with, the parts that DataParallel, torch.compile and FSDP add) are taken off.

    Raises:
        InvalidInput: the file is missing, damaged, would run code when read, or does not fit.
    """
    wanted = module.state_dict()
    tensors = read_weights(file, wanted)
    if problems := _misfits(tensors, wanted):
        raise InvalidInput(
            f"weights {file} do not fit {type(module).__name__}: {'; '.join(problems)}: give the "
            "file that this architecture was saved to, built for the same number of classes"
        )
    module.load_state_dict({name: tensors.get(name, value) for name, value in wanted.items()})


def read_weights(file: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the named tensors of a file, under the names that a model gives them.

    Args:
        file: as `load_weights` takes it.
        wanted: the state of the model they are for; only its names are read.

    Raises:
        InvalidInput: the file is missing, damaged or would run code when read.
    """
    tensors = _read_tensors(file)
    if not any(name.endswith(COUNTER) for name in wanted):
        tensors = {name: value for name, value in tensors.items() if not name.endswith(COUNTER)}
    shorter: dict[str, Tensor] | None = tensors
    while shorter is not None and not shorter.keys() & wanted.keys():
        shorter = _without_first_part(shorter)
    tensors = shorter or tensors
    if not tensors.keys() <= wanted.keys():  # wrappers of parts add to the middle of names
        plain = {_without_added(name): value for name, value in tensors.items()}
        if len(plain) == len(tensors) and plain.keys() <= wanted.keys():
            return plain
    return tensors


def names_in(file: Path) -> list[str]:
    """Return the names in a file of weights, without what wrappers add."""
    return [_without_added(name) for name in _read_tensors(file)]


def _without_first_part(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Take off the part that all names begin with ("module.", "model.net."); None without one."""
    parts = [name.partition(".") for name in tensors]
    if len({first for first, _, _ in parts}) != 1 or not all(rest for _, _, rest in parts):
        return None
    return {rest: value for (_, _, rest), value in zip(parts, tensors.values(), strict=True)}


def _without_added(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in ADDED)


def _read_tensors(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise InvalidInput(f"weights {file}: no such file: give a .safetensors or .pt file")
    content = _read_safetensors(file) if file.suffix == ".safetensors" else _read_torch(file)
    state = _unwrapped(content, file)
    if not isinstance(state, Mapping) or not state:
        raise InvalidInput(
            f"weights {file} hold a {type(content).__name__}, not named tensors: "
            "save them again with torch.save(model.state_dict(), FILE)"
        )
    if strange := [str(name) for name, value in state.items() if not isinstance(value, Tensor)]:
        raise InvalidInput(
            f"weights {file} hold values that are no tensors ({_some(strange)}): "
            "save them again with torch.save(model.state_dict(), FILE)"
        )
    return {str(name): value for name, value in state.items()}


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise InvalidInput(
            f"weights {file} are not valid safetensors ({one_line(error)}): "
            "the file is damaged or cut short, fetch or save it again"
        ) from error


def _read_torch(file: Path) -> Any:  # noqa: ANN401  # whatever was saved
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old formats; only the result matters
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise errors of many kinds
        if not _is_pickle(file, error):
            raise InvalidInput(
                f"weights {file} cannot be read ({one_line(error)}): the file is damaged, cut "
                "short or was not written by torch.save(model.state_dict(), FILE)"
            ) from error
        convert = CONVERT.format(file=file, target=file.with_suffix(".safetensors"))
        raise InvalidInput(
            f"weights {file} are refused: reading them could run code ({_culprit(error)}): "
            f"if you trust the file, convert it once with {convert}"
        ) from error


def _is_pickle(file: Path, error: Exception) -> bool:
    """Tell a sound file that holds more than tensors from one that is no torch file at all."""
    if "GLOBAL" in str(error):
        return True
    refused = isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error)
    with file.open("rb") as opened:
        return refused and opened.read(2).startswith((b"PK", b"\x80"))


def _culprit(error: Exception) -> str:
    named = re.search(r"GLOBAL (\S+)", str(error))
    return f"they name {named[1]}" if named else "they hold more than tensors"


def _unwrapped(state: object, file: Path) -> object:
    while isinstance(state, Mapping):
        inner = [key for key in WRAPPERS if isinstance(state.get(key), Mapping)]
        if not inner:
            break
        _refuse_second(state, inner[0], file)
        state = state[inner[0]]
    return state


def _refuse_second(state: Mapping[str, Any], chosen: str, file: Path) -> None:
    """Refuse a checkpoint that keeps other weights of the same names, such as an average."""
    first = _tensors_of(state[chosen])
    for key, other in state.items():
        second = _tensors_of(other)
        if key == chosen or not first or second.keys() != first.keys():
            continue
        if not all(torch.equal(first[name], second[name]) for name in first):
            raise InvalidInput(
                f"weights {file} hold two sets of weights, {chosen!r} and {key!r}: save the one "
                f"that is meant, torch.save(torch.load({str(file)!r})[{key!r}], FILE)"
            )


def _tensors_of(state: object) -> dict[str, Tensor]:
    pairs = state.items() if isinstance(state, Mapping) else ()
    return {_without_added(str(name)): value for name, value in pairs if isinstance(value, Tensor)}


def _misfits(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    # Files from before PyTorch 1.0 lack BatchNorm's counters; nothing in eval mode reads them.
    missing = [
        name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked")
    ]
    unexpected = [name for name in tensors if name not in wanted]
    reshaped = [
        f"{name} (file {_shape(tensors[name])}, model {_shape(value)})"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
    return [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds if names]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
