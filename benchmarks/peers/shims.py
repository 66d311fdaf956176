"""What the other libraries ask for and their attacks do not use: declared, so that they import."""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import torch

_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_held: list[object] = []  # a declaration lives as long as its library object


def import_peer(name: str) -> ModuleType:
    """Import a module of another library, its unused needs declared first.

    Args:
        name: "foolbox", "art.attacks.evasion" ...
    """
    declare_torchvision()
    declare_visdom()
    return importlib.import_module(name)


def declare_torchvision() -> None:
    """Make torchvision importable beside a torch of another build.

    Its compiled operators fail to load there, and its import then stumbles over two of them.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        declare: Any = torch.library.Library  # torch leaves it untyped
        library = declare("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(operator + _BOXES)
        _held.append(library)
        importlib.import_module("torchvision")


def declare_visdom() -> None:
    """Stand in for visdom, a plotting server that adv-lib imports and its attacks never start."""
    if "visdom" not in sys.modules and importlib.util.find_spec("visdom") is None:
        sys.modules["visdom"] = ModuleType("visdom")
