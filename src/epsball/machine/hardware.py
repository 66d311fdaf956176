"""What a device computes in at speed. Asked when it is needed, never at import."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch

from epsball.errors import InvalidInput
from epsball.machine.cores import usable_cores

Units: TypeAlias = Literal["none", "vectors", "matrices"]
_AMPERE = 8  # first CUDA capability with bfloat16 matrix units


def choose_device(name: str, own: str | None = None) -> str:
    """Resolve "auto", and refuse a device that cannot be used here.

    Args:
        name: "auto" or a torch device: "cpu", "cuda", "cuda:1", "mps".
        own: the device that a model is on already; "auto" leaves it there.

    Returns:
        The name of a device that holds tensors.

    Raises:
        InvalidInput: no such device here.

    Example:
        >>> choose_device("cpu"), choose_device("auto", own="cpu")
        ('cpu', 'cpu')
    """
    if name == "auto":
        return own or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"--device {name} cannot be used here ({reason}); take --device cpu or auto"
        ) from None
    return name


def bfloat16_units(device: torch.device | str) -> Units:
    """Say how a device multiplies bfloat16.

    Where a CPU has no instructions for it torch converts number by number, many times slower than
    it multiplies float32.

    Args:
        device: a torch device, or its name.

    Returns:
        "matrices": by units of its own (AMX; Ampere and later). "vectors": by vector instructions,
        or unknown: worth measuring. "none": not at all.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return "matrices" if torch.cuda.get_device_capability(device)[0] >= _AMPERE else "none"
    if device.type != "cpu":
        return "vectors"
    if cpu_has("amx_bf16"):
        return "matrices"
    return "vectors" if cpu_has("avx512_bf16") or cpu_has("bf16") else "none"


def cpu_has(capability: str) -> bool:
    """Say whether the CPU has a capability, by torch's name for it; an older torch cannot tell."""
    look: Callable[[], dict[str, Any]] | None = getattr(torch.cpu, "get_capabilities", None)
    return bool(look and look().get(capability))


def default_threads() -> int:
    """Return the threads to use on the CPU: torch's own number, but no more than usable cores."""
    return max(1, min(torch.get_num_threads(), usable_cores()))
