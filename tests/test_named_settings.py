"""Settings as people type them: every kind of default, and every refusal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epsball.errors import InvalidInput
from epsball.named_settings import read_number, read_settings, split_named

DEFAULTS: dict[str, Any] = {"flag": False, "count": 3, "rate": 0.5, "kind": "mean", "layer": None}


@given(count=st.integers(), flag=st.booleans(), top=st.integers(0, 255))
def test_what_is_written_is_read_back(count: int, flag: bool, top: int) -> None:
    name, texts = split_named(f"thing:count={count}, flag={str(flag).lower()},rate={top}/255")
    assert name == "thing"
    values = read_settings(name, texts, DEFAULTS)
    assert values == {"count": count, "flag": flag, "rate": top / 255}
    assert {key: type(value) for key, value in values.items()} == {
        "count": int,
        "flag": bool,
        "rate": float,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [("median", "median"), ("none", None), ("2", 2), ("0.25", 0.25), ("x/0", "x/0")],
)
def test_other_defaults_take_anything(text: str, value: object) -> None:
    assert read_settings("thing", {"layer": text}, DEFAULTS) == {"layer": value}
    assert read_settings("thing", {"kind": text}, DEFAULTS) == {"kind": text}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("thing:count", r"write settings as thing:count=VALUE, got 'count'"),
        ("thing:count=", r"write settings as thing:count=VALUE, got 'count'"),
        ("thing:cuont=2", r"unknown setting of thing 'cuont': did you mean 'count'\?"),
        ("thing:count=2.5", r"thing: count must be a whole number, got '2\.5'"),
        ("thing:flag=yes", r"thing: flag must be true or false, got 'yes'"),
        ("thing:rate=half", r"thing: rate must be a number, got 'half'"),
        ("thing:rate=1/0", r"thing: rate must be a number, got '1/0'"),
        ("thing:rate=nan", r"thing: rate must be a number, got 'nan'"),
    ],
)
def test_refusals_name_the_setting_and_the_value(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_settings(*split_named(text), DEFAULTS)


def test_a_number_may_be_a_word_where_that_is_allowed() -> None:
    assert read_settings("svm", {"rate": "scale"}, DEFAULTS, words=True) == {"rate": "scale"}
    assert read_settings("svm", {"rate": "1/4"}, DEFAULTS, words=True) == {"rate": 0.25}


def test_numbers_are_finite() -> None:
    with pytest.raises(ValueError, match="not finite"):
        read_number("inf")
