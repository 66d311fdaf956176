"""A refusal, the remedy that its message names, and what a person then does, to the letter."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from epsball.errors import EpsballError


@dataclass(frozen=True)
class Case:
    """One refusal.

    Args:
        name: of the mistake.
        wrong: makes it; gets an empty folder.
        remedy: words of the message that say what to do.
        right: does that.
    """

    name: str
    wrong: Callable[[Path], Any]
    remedy: str
    right: Callable[[Path], Any]


def follow(case: Case, folder: Path) -> None:
    """Make the mistake, read the remedy in one line, and follow it."""
    with pytest.raises(EpsballError) as refused:
        case.wrong(folder)
    message = str(refused.value)
    assert "\n" not in message
    assert case.remedy in message
    case.right(folder)
