"""The highest memory that a piece of work took, above what was there before it."""

import ctypes
import gc
import resource
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

Result = TypeVar("Result")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"  # proc(5): resets the peak resident set size


def at_peak(work: Callable[[], Result], device: str = "cpu") -> tuple[Result, int]:
    """Do the work and measure.

    On Linux the kernel's own peak of resident memory, forgotten just before the work, less what was
    resident then, free memory given back first; elsewhere the growth of the peak since the process
    began, which hides what stays below an earlier peak. On a GPU the most that torch allocated.

    Args:
        work: is called once.
        device: where it works.

    Returns:
        Its result, and bytes.
    """
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = work()
        return result, torch.cuda.max_memory_allocated(device) - before
    if _CLEAR.exists():
        _give_back()
        _CLEAR.write_text(_FORGET_PEAK)
        before = _resident("VmRSS")
        result = work()
        return result, _resident("VmHWM") - before
    before = _peak()
    result = work()
    return result, _peak() - before


def _give_back() -> None:
    """Return what is free to the system: reused, it would hide what the work needs."""
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):  # glibc has it, others do not
        library.malloc_trim(0)


def _resident(field: str) -> int:
    lines = _STATUS.read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
