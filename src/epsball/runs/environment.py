"""The machine and the versions behind a result. Imports torch only to name the GPU."""

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from epsball import __version__

PACKAGES = ("epsball", "torch", "numpy", "polars", "pillow", "scikit-learn")


def environment() -> dict[str, Any]:
    """Return when, with which versions and on what machine: `created`, `versions`, `hardware`."""
    import torch

    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": {
            "machine": platform.machine(),
            "system": platform.system(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of some packages, by default those that move numbers."""
    known = {"python": platform.python_version()}
    for package in packages or PACKAGES:
        try:
            known[package] = __version__ if package == "epsball" else version(package)
        except PackageNotFoundError:
            known[package] = "not installed"
    return known


def processor() -> str:
    """Return the processor's name; Linux keeps it in a file, other systems in `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
