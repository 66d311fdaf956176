import pytest

from epsball.errors import InvalidInput
from epsball.kinds.class_names import class_number, names_of_classes

NAMES = names_of_classes(1000)


@pytest.mark.parametrize(
    ("text", "number"), [("goldfish", 1), ("Tinca tinca", 0), ("  TENCH ", 0), ("999", 999)]
)
def test_a_class_is_found_by_any_of_its_names(text: str, number: int) -> None:
    assert class_number(text, NAMES) == number


def test_names_of_other_models_are_numbers() -> None:
    assert names_of_classes(10)[3] == "3"
    assert class_number("3", names_of_classes(10)) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("goldfsh", "unknown class 'goldfsh': did you mean 'goldfish'"),
        ("crane", "name of 2 classes: give a number, 134 or 517"),
        ("1000", "a number from 0 to 999"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        class_number(text, NAMES)
