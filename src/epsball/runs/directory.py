"""Whether a directory may be used, and whether it holds the run that is asked for. No torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epsball.errors import InvalidInput

_LONGEST = 24  # characters of a value in a message


def check_vacant(out: Path) -> None:
    """Refuse a path that holds anything but what a kill during the first write left.

    Args:
        out: the directory; it need not exist.

    Raises:
        InvalidInput: it is a file, or a directory with other content.
    """
    if out.exists() and (not out.is_dir() or _has_content(out)):
        raise InvalidInput(f"--out {out} holds something else: name a new or empty directory")


def check_same_run(out: Path, what: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse a directory that holds another run than the one that is asked for.

    Args:
        out: the directory.
        what: what it holds: "run", "training run", "study".
        there: what decides the run on disk.
        here: what decides the run that is asked for.

    Raises:
        InvalidInput: the two differ; the message names each difference.
    """
    refuse_other_run(out, what, differences(there, here))


def refuse_other_run(out: Path, what: str, differing: Sequence[str]) -> None:
    """Refuse a directory whose run differs in something; do nothing where nothing differs.

    Raises:
        InvalidInput: differing is not empty.
    """
    if differing:
        raise InvalidInput(
            f"--out {out} holds another {what}: it differs in {', '.join(differing)}; "
            "choose another --out"
        )


def differences(there: Mapping[str, Any], here: Mapping[str, Any], path: str = "") -> list[str]:
    """Name what differs between two nested mappings, with both values where they are short.

    Args:
        there: of the run on disk.
        here: of the run that is asked for.
        path: prefix of every name.

    Example:
        >>> differences({"lr": 0.1, "data": {"n": 3}}, {"lr": 0.2, "data": {"n": 3}})
        ['lr (0.1 there, 0.2 here)']
    """
    names = []
    for key in dict.fromkeys((*here, *there)):
        before, now = there.get(key), here.get(key)
        if before == now:
            continue
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            names += differences(before, now, f"{path}{key}.")
        elif isinstance(before, Mapping | list | tuple) or isinstance(now, Mapping | list | tuple):
            names.append(f"{path}{key}")
        else:
            names.append(f"{path}{key} ({_short(before)} there, {_short(now)} here)")
    return names


def _short(value: object) -> str:
    return str(value)[:_LONGEST]


def _has_content(out: Path) -> bool:
    return any(not entry.name.endswith(".part") for entry in out.iterdir())
