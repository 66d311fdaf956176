"""What the measurements were made on."""

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from benchmarks.peers.rows import Row


def describe(device: str, commands: Sequence[str]) -> Row:
    """Return processor, memory, system and versions; no names of hosts, users or folders."""
    return {
        "processor": _processor(device),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commands": list(commands),
    }


def _processor(device: str) -> str:
    cores = torch.get_num_threads()
    name = _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or "unknown"
    cpu = f"{name} ({cores} threads used)"
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, {cpu}"
    return cpu


def _memory() -> float:
    """Return GiB of memory; 0 where it cannot be told."""
    result = _field(Path("/proc/meminfo"), "MemTotal")
    return int(result.split()[0]) / 2**20 if result else 0.0


def _field(file: Path, name: str) -> str | None:
    if not file.is_file():
        return None
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), None)


def command_line(arguments: list[str], hidden: tuple[str, ...] = ()) -> str:
    """Return the command as another person would type it.

    Args:
        arguments: as they were given.
        hidden: options whose values are places on this machine: shown as DIR.
    """
    shown = list(arguments)
    for i, argument in enumerate(arguments):
        option, equals, _ = argument.partition("=")
        if option in hidden and equals:
            shown[i] = f"{option}=DIR"
        elif i and arguments[i - 1] in hidden:
            shown[i] = "DIR"
    return " ".join([f"{Path(sys.executable).name} -m benchmarks.peers", *shown])
