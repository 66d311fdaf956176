"""From what is typed to settings."""

import pytest

from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.evaluation.settings import AttackSetting, make_settings
from epsball.radii import parse_eps


def test_numbers() -> None:
    assert parse_eps("8/255") == 8 / 255
    assert parse_eps("0.1") == parse_eps(0.1) == 0.1
    assert parse_eps("0") == 0


@pytest.mark.parametrize("text", ["8/0", "-0.1", "-8/255", "nan", "inf", "eight", "", "1/2/3", "/"])
def test_bad_eps(text: str) -> None:
    with pytest.raises(InvalidInput, match="eps must be a number >= 0 such as 0.1 or 8/255, got"):
        parse_eps(text)


def test_settings_are_read_in_the_manner_of_their_defaults() -> None:
    (setting,) = make_settings(
        ["pgd:steps=7,objective=margin,random_start=false,step_size=2/255"],
        norm="l2",
        eps=["0.5", 0.25, "1/2"],
        restarts=3,
    )
    assert setting.knobs == {
        "steps": 7,
        "objective": "margin",
        "random_start": False,
        "step_size": 2 / 255,
    }
    assert setting.eps == (0.25, 0.5)
    assert setting.restarts == 3
    assert setting.gradients == 7 * 3 * 2


def test_steps_go_to_those_that_take_them() -> None:
    fgsm, bim, pgd = make_settings(
        ["fgsm", "bim", "pgd:steps=3"], norm="linf", eps=[0.1, 0.2], steps=9, restarts=2
    )
    assert "steps" not in fgsm.knobs
    assert bim.knobs["steps"] == 9
    assert pgd.knobs["steps"] == 3
    assert (fgsm.restarts, bim.restarts, pgd.restarts) == (1, 1, 2)
    assert fgsm.gradients == 1  # one gradient serves every eps


@pytest.mark.parametrize(
    ("attacks", "message"),
    [
        (["pdg"], "unknown attack 'pdg': did you mean 'pgd'"),
        (["pgd:stepz=3"], "unknown setting of pgd 'stepz': did you mean 'steps'"),
        (["pgd:steps"], "write settings as pgd:steps=VALUE"),
        (["pgd:steps=many"], "pgd: steps must be a whole number, got 'many'"),
        (["pgd:random_start=perhaps"], "random_start must be true or false, got 'perhaps'"),
        (["pgd", "pgd"], "each attack can be asked for once, got pgd, pgd"),
        ([], "at least one attack"),
    ],
)
def test_bad_attacks(attacks: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make_settings(attacks, norm="linf", eps=[0.1])


def test_bad_norm_steps_and_restarts() -> None:
    with pytest.raises(InvalidInput, match="unknown norm 'linff': did you mean 'linf'"):
        make_settings(["pgd"], norm="linff", eps=[0.1])
    with pytest.raises(UnsupportedNorm, match="pgd: norm must be one of linf, l2; got 'l0'"):
        make_settings(["pgd"], norm="l0", eps=[0.1])
    with pytest.raises(InvalidInput, match="steps must be >= 1, got 0"):
        make_settings(["pgd"], norm="linf", eps=[0.1], steps=0)
    with pytest.raises(InvalidInput, match="restarts must be >= 1, got 0"):
        make_settings(["pgd"], norm="linf", eps=[0.1], restarts=0)


@pytest.mark.parametrize(
    ("text", "harm"),
    [
        ("fgsm", True),
        ("fgsm:reference=predicted", True),
        ("fgsm:direction=descent,reference=least_likely", True),
        ("fgsm:direction=descent,reference=true", False),
        ("fgsm:direction=ascent,reference=second", False),
    ],
)
def test_controls_are_told_from_attacks(text: str, harm: bool) -> None:
    (setting,) = make_settings([text], norm="linf", eps=[0.1])
    assert setting.means_harm is harm


def test_file_names_are_plain() -> None:
    setting = AttackSetting(
        attack="pgd", variant="pgd:steps=3,objective=margin", norm="linf", eps=(0.1,)
    )
    assert setting.stem == "pgd_steps=3_objective=margin"
