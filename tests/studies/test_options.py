"""What may be asked of a study, and what is refused."""

from dataclasses import replace

import pytest

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Plain
from epsball.studies.core.options import Options, parse_classes, parse_grid

KNOWN: dict[str, Plain] = {"l1": 0.0, "hidden": 625, "arm": "clean"}


def test_a_grid_is_read_in_the_manner_of_each_parameter() -> None:
    read = parse_grid("l1=0, 1e-5,0 ;hidden=10;arm=clean,adversarial;", KNOWN)
    assert read == {"l1": (0.0, 1e-5), "hidden": (10,), "arm": ("clean", "adversarial")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("l3=0", "did you mean 'l1'"),
        ("l1", "write l1=VALUE"),
        ("l1=", "write l1=VALUE"),
        ("l1=many", "must be a number, got 'many'"),
        ("hidden=1.5", "must be a whole number"),
        ("l1=-1", "0 or more"),
        ("l1=nan", "0 or more"),
        ("l1=inf", "0 or more"),
    ],
)
def test_a_bad_grid_is_told_in_one_line(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_grid(text, KNOWN)


@pytest.mark.parametrize("name", ["seeds", "limit", "train_limit", "epochs", "threads"])
def test_numbers_that_cannot_be_meant_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} must be 1 or more, got 0"):
        replace(Options(), **{name: 0})  # type: ignore[arg-type]  # fields of several types


def test_no_dear_attacks_may_be_asked_for() -> None:
    assert Options(searched=0).searched == 0
    with pytest.raises(InvalidInput, match="searched"):
        Options(searched=-1)


CLASSES = ["cat", "dog", "7"]


def test_classes_are_given_by_name_or_number() -> None:
    assert parse_classes("dog, cat,dog", CLASSES) == ("dog", "cat")
    assert parse_classes("1,0", CLASSES) == ("dog", "cat")
    assert parse_classes("7", CLASSES) == ("7",)  # a name goes before a number


@pytest.mark.parametrize("text", ["dgo", "3", "-1", "cat,doq"])
def test_a_class_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="unknown class"):
        parse_classes(text, CLASSES)


def test_no_class_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one class"):
        parse_classes(" , ", CLASSES)
