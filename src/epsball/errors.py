"""Every error epsball raises on purpose: who, the rule, the value found and the remedy."""

import difflib
from collections.abc import Iterable


class EpsballError(Exception):
    """Root of the tree; the command line prints any of these as one line and exits with code 2."""


class InvalidInput(EpsballError, ValueError):
    """An argument, a file or an image breaks a rule; the message names it."""


class UnsupportedNorm(InvalidInput):
    """The attack is not defined for the norm that was asked for."""


class QueryBudgetSpent(EpsballError, RuntimeError):
    """An oracle would have to be asked more often than the caller allows; nothing was sent."""


class NotFitted(EpsballError, AttributeError):
    """A defence was asked for scores before `fit`."""


class BrokenContract(EpsballError, RuntimeError):
    """A model, an attack or a file does not do what its contract says."""


class Stopped(EpsballError):
    """Somebody stopped a command; the message says what was kept and how to go on."""


_NORMS_AS_NUMBERS = {"inf": "linf", "2": "l2", "2.0": "l2", "1": "l1", "1.0": "l1", "0": "l0"}


def unknown_name(what: str, name: object, known: Iterable[str]) -> InvalidInput:
    """Build the error for a name that no table holds, with the nearest match as the remedy.

    Args:
        what: the kind of thing, for the message: "attack", "data".
        name: what was asked for.
        known: the names that exist.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> str(unknown_name("attack", "pdg", ["fgsm", "pgd"]))
        "unknown attack 'pdg': did you mean 'pgd'? known: fgsm, pgd"
        >>> str(unknown_name("norm", 2, ["l1", "l2"]))
        "unknown norm 2: did you mean 'l2'? known: l1, l2"
    """
    names = sorted(known)
    folded = {one.casefold(): one for one in names}
    text = _NORMS_AS_NUMBERS.get(str(name), str(name))  # as other libraries write them
    near = difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=0.5)
    hint = f"did you mean {folded[near[0]]!r}? " if near else ""
    return InvalidInput(f"unknown {what} {name!r}: {hint}known: {', '.join(names)}")
