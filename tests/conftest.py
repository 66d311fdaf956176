"""Fixtures that many tests share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The models of the tests are too small for two threads, and several processes with two threads
# each wait for each other. Set before torch is loaded, and handed on to the processes tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import pytest
import torch
from hypothesis import settings

# a deadline measures the load of the machine; pytest's own timeout stops an example that hangs
settings.register_profile("epsball", deadline=None)
settings.load_profile("epsball")

NEEDED = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with a reason, what this machine cannot run."""
    reasons = {
        "data": None if os.environ.get("EPSBALL_DATA") else "EPSBALL_DATA names no real data",
        "gpu": None if torch.cuda.is_available() else "no CUDA device",
    }
    for item in items:
        for mark, reason in reasons.items():
            if reason and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def real_data() -> Path:
    """Return the directory of the real data sets."""
    return Path(os.environ["EPSBALL_DATA"])


@pytest.fixture(scope="session")
def torchvision() -> Iterator[Any]:
    """Torchvision, whose wheel fails to import beside a torch of another build.

    Only two operators are missed, and no test uses them: they are declared, and that is enough.
    """
    library = None
    try:
        import torchvision as found
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        declare: Any = torch.library.Library  # has no types
        library = declare("torchvision", "FRAGMENT")
        library.define(f"nms{NEEDED}")
        library.define(f"qnms{NEEDED}")
        import torchvision as found
    yield found
    del library
