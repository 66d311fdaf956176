"""What a device computes in at speed. Asked when it is needed, never at import."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch

from epsball.machine.cores import usable_cores

Units: TypeAlias = Literal["none", "vectors", "matrices"]
_AMPERE = 8  # first CUDA capability with bfloat16 matrix units


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
