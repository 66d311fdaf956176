"""Which attack is put before which check in which norm, and which of it all takes too long."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from epsball.attacks import ATTACKS
from epsball.testing import norms_of
from epsball.types import Norm

# made of the other attacks, each of which is tried by every check in every norm
ENSEMBLES = ("strongest", "autoattack")


def cases(
    checks: Sequence[Callable[..., object]], dear: Callable[[str, Norm, str], bool]
) -> list[Any]:
    """Return name, norm and check of every case; of an ensemble's, the dear ones are slow."""
    found = []
    for name, spec in ATTACKS.items():
        for norm in norms_of(spec):
            for check in checks:
                said = check.__name__
                slow = name in ENSEMBLES and dear(name, norm, said)
                marks = [pytest.mark.slow] if slow else []
                found.append(
                    pytest.param(name, norm, check, id=f"{name}-{norm}-{said}", marks=marks)
                )
    return found
