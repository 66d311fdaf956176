"""Labels of the data as classes of the model: by name where both are named, never guessed."""

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from epsball.errors import InvalidInput
from epsball.evaluation.checks.class_order import check_order
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.forms import whole
from epsball.evaluation.subject import Subject
from epsball.files import read_lines
from epsball.types import Dataset, Finding

Classes: TypeAlias = Path | str | Sequence[str] | Mapping[int, str] | None
_HOW = (
    "list all classes of the model in its order, one a line, in {file} (or --classes FILE); a line "
    "may name a folder, a tab and the name to show"
)


def fit_labels(
    subject: Subject, data: Dataset, classes: Classes = None, offset: int = 0
) -> tuple[Dataset, list[Finding]]:
    """Turn the labels of data into classes of a model; see `fit_classes`."""
    if subject.findings:  # a model in train mode is not asked, so that its classes are unknown
        return data, []
    noted = check_order(data) if classes is None else []
    count, names = subject.info.classes, subject.class_names
    offset = whole("label_offset", offset) or 0
    fitted, matched = fit_classes(data, subject.name, count, names, classes=classes, offset=offset)
    return fitted, [*(noted if fitted.order != "stated" else []), *matched]


def names_of_labels(subject: Subject, data: Dataset) -> tuple[str, ...]:
    """Return a name for every label of a model: its classes, and "reject" if it rejects.

    Raises:
        InvalidInput: the data name other classes, or another number of them.
    """
    names = fit_labels(subject, data)[0].class_names
    if len(names) != subject.info.classes:
        raise InvalidInput(
            f"{data.name} names {len(names)} classes and {subject.name} has "
            f"{subject.info.classes}: give the data that it was trained on"
        )
    return (*names, "reject") if subject.info.rejects else names


def fit_classes(
    data: Dataset,
    model: str,
    count: int,
    names: tuple[str, ...] | None,
    *,
    classes: Classes = None,
    offset: int = 0,
) -> tuple[Dataset, list[Finding]]:
    """Turn the labels of data into classes of a model.

    Args:
        data: as it was opened.
        model: the model's name, for messages.
        count: k, of the model.
        names: what the model calls its classes; None: unknown.
        classes: the model's classes in its order: a file of one name a line, or the names. They
            win over everything that is known otherwise.
        offset: added to every label: 1 where the model's first class is "background".

    Returns:
        The data with labels of the model, and findings about how they were matched.

    Raises:
        InvalidInput: a class of the data is none of the model's, or it cannot be told which.
    """
    findings: list[Finding] = []
    known = names if classes is None else _read(classes)
    if classes is not None:
        class_names = known or ()
        if len(class_names) != count:
            raise InvalidInput(
                f"--classes must list the {count} classes of {model}, found {len(class_names)} "
                "lines: list every class, in the model's order"
            )
        data = _relabelled(data, class_names, model)
    elif names is not None and len(names) == count and data.order != "numbers":
        data, findings = _matched(data, names, model)
    elif data.order == "names" and len(data.class_names) != count:
        raise _unknown(data, model, count)
    if offset:
        named = data.order != "numbers" and known is not None and len(known) == count
        if named and _are_confirmed(data, known or ()):
            raise InvalidInput(
                f"--label-offset {offset} would move labels that were matched to the classes of "
                f"{model} by name: leave it out"
            )
        data = _shifted(data, offset)
    return data, findings


def _are_confirmed(data: Dataset, names: Sequence[str]) -> bool:
    """Say whether every label that occurs names the class of its number."""
    aliases = _aliases(names)
    return all(
        label < len(names) and label in _find(data.class_names[label], aliases)
        for label in np.unique(data.labels).tolist()
    )


def _read(classes: Path | str | Sequence[str] | Mapping[int, str]) -> tuple[str, ...]:
    if isinstance(classes, Path | str):
        file = Path(classes).expanduser()
        try:
            return tuple(read_lines(file))
        except OSError as error:
            raise InvalidInput(
                f"--classes {file} must be a text file of one class name a line ({error}): "
                "correct the path"
            ) from error
        except ValueError as error:
            raise InvalidInput(
                f"--classes {file} must be UTF-8 text ({error}): save it as UTF-8"
            ) from error
    if isinstance(classes, Mapping):
        if sorted(classes) != list(range(len(classes))):
            raise InvalidInput(
                f"classes must name each class from 0, got a mapping of {list(classes)[:5]}: give "
                "the names in the model's order, or {number: name}"
            )
        return tuple(str(classes[number]) for number in range(len(classes)))
    return tuple(map(str, classes))


def _matched(data: Dataset, names: tuple[str, ...], model: str) -> tuple[Dataset, list[Finding]]:
    """Match classes by name, where the names of both say anything about each other."""
    places, aliases = _places(names), _aliases(names)
    used = np.unique(data.labels).tolist()
    places_of = {label: _find(data.class_names[label], places) for label in used}
    known = [label for label in used if places_of[label]]
    # "Cardigan" in the dog's place is the dog, though the garment's whole name is "cardigan"
    agreeing = {label for label in known if label in _find(data.class_names[label], aliases)}
    if len(agreeing) == len(used):
        return data, []
    if not known and len(data.class_names) == len(names):
        return data, []  # both number their classes, in words of their own
    # a stated order that no name contradicts holds; a few names may be written in another way
    contradicted = len(agreeing) < len(known)
    same_count = len(data.class_names) == len(names)
    if data.order == "stated" and (not known or (same_count and not contradicted)):
        return data, []
    if len(known) < len(used):
        missing = next(label for label in used if not places_of[label])
        name = data.class_names[missing]
        raise InvalidInput(
            f"{data.name}: class {name!r} is none of the {len(names)} classes that {model} names "
            f"({', '.join(names[:3])} ...): {_near(name, names)}rename it, or "
            f"{_HOW.format(file='classes.txt')}"
        )
    matched = _relabelled(data, names, model)
    first = known[0]
    message = (
        f"classes were matched by name: {data.class_names[first]!r}, label {first} of the data, is "
        f"class {places_of[first][0]} of {model}"
    )
    return matched, [finding("classes-matched", message, classes=len(known))]


def _relabelled(data: Dataset, names: Sequence[str], model: str) -> Dataset:
    """Give each class of the data the number of its name in a list."""
    places = _places(names)
    numbers = np.full(len(data.class_names), -1, dtype=np.int64)
    for label in np.unique(data.labels).tolist():
        own = data.class_names[label]
        classes = _find(own, places)
        if len(classes) != 1:
            message = (
                f"is classes {classes[0]} and {classes[1]}"
                if classes
                else f"is not among the {len(names)} names ({', '.join(names[:3])} ...)"
            )
            raise InvalidInput(
                f"{data.name}: class {own!r} {message} of {model}: give it a name of its own in "
                "--classes FILE, one line a class of the model: folder, a tab, the name to show"
            )
        numbers[label] = classes[0]
    shown_names = tuple(name.rpartition("\t")[2].strip() for name in names)
    return replace(data, labels=numbers[data.labels], class_names=shown_names, order="stated")


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    """Map every name, and every alias of it, to the classes that have it; whole names win."""
    whole: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        for column in name.split("\t"):
            whole.setdefault(_key(column), []).append(number)
    return _aliases(names) | {key: sorted(set(indices)) for key, indices in whole.items()}


def _aliases(names: Sequence[str]) -> dict[str, list[int]]:
    """Map every name, and every alias of it, to all classes that have it."""
    numbers: dict[str, set[int]] = {}
    for number, name in enumerate(names):
        for column in name.split("\t"):
            for alias in (column, *column.split(",")):
                numbers.setdefault(_key(alias), set()).add(number)
    return {key: sorted(classes) for key, classes in numbers.items()}


def _find(name: str, places: dict[str, list[int]]) -> list[int]:
    exact = places.get(_key(name))
    if exact is None:
        exact = next((places[key] for part in name.split(",") if (key := _key(part)) in places), [])
    return sorted(set(exact))


def _key(name: str) -> str:
    """Normalise a name: lower case, composed letters, one space for any punctuation."""
    composed = unicodedata.normalize("NFKC", name)  # accents are stored in two ways
    return re.sub(r"[\W_]+", " ", composed).strip().casefold()


def _near(name: str, names: Sequence[str]) -> str:
    """Return the nearest names as part of a message; nothing where none is near."""
    words = {_key(part): part.strip() for one in names for part in re.split(r"[,\t]", one)}
    near = difflib.get_close_matches(_key(name), words, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(repr(words[key]) for key in near)}? " if near else ""


def _unknown(data: Dataset, model: str, count: int) -> InvalidInput:
    if data.name.startswith("image:"):
        return InvalidInput(
            f"--label {data.class_names[0]} is a name, and {model} does not name its {count} "
            "classes: give the number of the class, from 0, or all names with --classes FILE"
        )
    folder = re.sub(r"@\d+$", "", data.name.removeprefix("folder:"))
    is_folder = data.name.startswith("folder:")
    file, what = (f"{folder}/classes.txt", " folders") if is_folder else ("a file", "es")
    return InvalidInput(
        f"{data.name} has {len(data.class_names)} class{what} and {model} has {count} classes, "
        f"so it cannot be told which of them these are: {_HOW.format(file=file)}"
    )


def _shifted(data: Dataset, offset: int) -> Dataset:
    lowest = int(data.labels.min()) + offset
    if lowest < 0:
        raise InvalidInput(
            f"--label-offset {offset} makes label {lowest} of label {lowest - offset}: labels are "
            "0 or more; give a larger offset"
        )
    before = ("(none)",) * offset if offset > 0 else ()
    names = (*before, *data.class_names[max(0, -offset) :])
    return replace(data, labels=data.labels + offset, class_names=names)
