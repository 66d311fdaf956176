"""Importing torchvision beside a torch of another build.

A wheel of torchvision registers its compiled operators with the torch it was built for. Beside
another build (the usual case: a CPU torch and the registry's torchvision) they are missing, and
`import torchvision` fails because it describes two of them, although no classifier uses either.
"""

import importlib
import importlib.util
import sys
from typing import Any

import torch

OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
MISSING = "operator torchvision::"  # how the message of that failure begins
_declared: list[Any] = []  # torch forgets a declaration when its owner is collected


def import_torchvision() -> None:
    """Import torchvision where it is installed, and declare the operators that its wheel misses.

    A declared operator has a signature and no code: calling one raises NotImplementedError, as it
    would without it. Nothing is done where torchvision is absent, is imported already, or works.
    Any other failure is left to the package that needs torchvision.
    """
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if MISSING not in str(error):
            return
        _forget_half_imported()
        _declare()
        importlib.import_module("torchvision")
    except ImportError:
        return


def _declare() -> None:
    if not _declared:
        library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in OPERATORS:
            if not hasattr(torch.ops.torchvision, name):
                library.define(f"{name}{SCHEMA}")
        _declared.append(library)


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
