"""Tensors on disk: safetensors, written beside and renamed, so that a kill leaves whole files.

No pickle anywhere: reading a checkpoint cannot run code.
"""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.files import write_bytes

_NOTE = "epsball"  # key of the file's metadata


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Copy a model's parameters and buffers to the CPU, in the ordinary memory layout.

    Raises:
        InvalidInput: the model's state holds something that is no tensor.
    """
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise InvalidInput(
                f"train: the model's state {name!r} must be a tensor to be saved without pickle, "
                f"got {type(value).__name__}; remove get_extra_state from the model"
            )
    # a copy of each, because safetensors refuses tensors that share memory (tied weights)
    return {name: _plain(value.clone()) for name, value in state.items()}


def write_tensors(
    file: Path,
    tensors: dict[str, Tensor],
    note: str = "",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file whole or not at all.

    Args:
        file: where.
        tensors: on any device, in any layout, none sharing memory with another.
        note: kept in the file's metadata.
        metadata: kept beside it.

    Raises:
        InvalidInput: it cannot be written.
    """
    plain = {name: _plain(value) for name, value in tensors.items()}
    write_bytes(file, save(plain, metadata={_NOTE: note, **(metadata or {})}))


def read_tensors(file: Path) -> tuple[dict[str, Tensor], str]:
    """Read what `write_tensors` wrote: tensors on the CPU, and the note.

    Raises:
        InvalidInput: the file is missing or damaged.
    """
    try:
        with safe_open(file, framework="pt") as stored:
            names, metadata = stored.keys(), stored.metadata() or {}
            return {name: stored.get_tensor(name) for name in names}, metadata.get(_NOTE, "")
    except (OSError, SafetensorError) as error:
        raise InvalidInput(
            f"train: {file} cannot be read ({error}); delete {file.parent} and train again"
        ) from None


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()
