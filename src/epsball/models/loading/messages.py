"""Errors and names of other libraries, shortened to one line."""

import difflib
from collections.abc import Iterable

from epsball.errors import InvalidInput

LONGEST = 200  # characters of another library's message that are shown


def one_line(error: BaseException) -> str:
    """Return the type and the message of an error on one line, cut where it rambles."""
    text = " ".join(_of_script(str(error)).split())
    if len(text) > LONGEST:
        text = text[: LONGEST - 3] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _of_script(text: str) -> str:
    """Return the last line of a traceback of TorchScript: the ones before name its code."""
    if "Traceback of TorchScript" not in text:
        return text
    return text.strip().splitlines()[-1].partition("Error: ")[2] or text


def unknown_among(what: str, name: str, known: Iterable[str], where: str) -> InvalidInput:
    """Build the error for a name in a table too long to print.

    Args:
        what: the kind of thing: "timm model".
        name: what was asked for.
        known: every name that exists.
        where: where the whole list can be read.
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return InvalidInput(f"unknown {what} {name!r}: {hint}{where} lists them all")
