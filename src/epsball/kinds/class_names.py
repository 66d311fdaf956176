"""From the words a person types to the number of a class. Imports no torch."""

import difflib
from collections.abc import Sequence

from epsball.errors import InvalidInput
from epsball.kinds.hierarchy import wordnet

_IMAGENET = 1000


def names_of_classes(count: int) -> tuple[str, ...]:
    """Return names where no data set gives any: WordNet's for 1,000 classes, else numbers."""
    if count != _IMAGENET:
        return tuple(map(str, range(count)))
    tree = wordnet()
    return tuple(tree.names[leaf] for leaf in tree.leaves())


def class_number(text: str, names: Sequence[str]) -> int:
    """Find a class by name or number.

    Args:
        text: a name, one of several names separated by commas ("tench" of "tench, Tinca tinca"),
            in any case; or the number of the class.
        names: of all classes, in label order.

    Raises:
        InvalidInput: no class, or several, have this name; the nearest names are given.

    Example:
        >>> class_number("Tinca tinca", ["tench, Tinca tinca", "goldfish"])
        0
    """
    known: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        for part in {name.casefold(), *(p.strip().casefold() for p in name.split(","))}:
            known.setdefault(part, []).append(number)
    synsets = known.get(text.strip().casefold(), [])
    if len(synsets) == 1:
        return synsets[0]
    if synsets:
        raise InvalidInput(
            f"class {text!r} is the name of {len(synsets)} classes: give a number, "
            f"{' or '.join(map(str, synsets))}"
        )
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    near = difflib.get_close_matches(text.casefold(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise InvalidInput(
        f"unknown class {text!r}: {hint}give a name, or a number from 0 to {len(names) - 1}"
    )
