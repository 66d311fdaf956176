"""Conversion of the arguments of `audit` from the forms that callers use."""

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from epsball.attacks import ATTACKS
from epsball.errors import InvalidInput, unknown_name
from epsball.evaluation.settings import AttackSetting
from epsball.radii import check_room


def several(value: Any) -> list[Any]:  # noqa: ANN401 - one or many, of any library
    """Take a single name or number for a list of one.

    Raises:
        InvalidInput: it is a mapping, whose values would be lost.

    Example:
        >>> several("pgd"), several([0.1, 0.2])
        (['pgd'], [0.1, 0.2])
    """
    values = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(values, Mapping):
        raise InvalidInput(
            f"attacks and eps must be one value or a list of them, got the mapping {values!r}: "
            "write settings after the name of their attack, 'pgd:steps=100'"
        )
    single = isinstance(values, str) or callable(values) or not isinstance(values, Iterable)
    return [values] if single else list(values)


def attack_texts(attacks: Any) -> list[str]:  # noqa: ANN401 - one or many
    """Write attacks as text: names with settings stay, functions become their names.

    Args:
        attacks: one or several of "pgd", "pgd:steps=100", `epsball.attacks.pgd` or a
            `functools.partial` of it.

    Raises:
        InvalidInput: a function that is none of the table's.

    Example:
        >>> from epsball.attacks import pgd
        >>> attack_texts([pgd, functools.partial(pgd, steps=100)])
        ['pgd', 'pgd:steps=100']
        >>> attack_texts("fgsm,pgd:steps=5,objective=margin,noise")
        ['fgsm', 'pgd:steps=5,objective=margin', 'noise']
    """
    texts = [one if isinstance(one, str) else _named(one) for one in several(attacks)]
    return [part for text in texts for part in _split(text)]


def _split(text: str) -> list[str]:
    """Cut "pgd:steps=5,objective=margin,fgsm" into its attacks: a part with "=" is a setting."""
    parts: list[str] = []
    for part in text.split(","):
        is_setting = "=" in part and ":" not in part.partition("=")[0]
        if is_setting and parts:
            parts[-1] += f",{part}"
        else:
            parts.append(part.strip())
    return parts


def radii(eps: Any) -> list[Any]:  # noqa: ANN401 - one or many, of any library
    """Take radii in any form: one, several, or text with commas.

    Raises:
        InvalidInput: the comma stands for a decimal point.

    Example:
        >>> radii("1/255,2/255"), radii([0.1, "0.2"]), radii(0.3)
        (['1/255', '2/255'], [0.1, '0.2'], [0.3])
    """
    for one in several(eps):
        if isinstance(one, str) and re.fullmatch(r"\s*0,\d+\s*", one):
            point = one.strip().replace(",", ".")
            raise InvalidInput(
                f"eps {one!r} may be {point} or the two radii 0 and {point[2:]}: write {point}, or "
                "give each of the two an --eps of its own (a list in Python)"
            )
    listed = [one.split(",") if isinstance(one, str) else [one] for one in several(eps)]
    return [one.strip() if isinstance(one, str) else one for part in listed for one in part]


def _named(attack: Any) -> str:  # noqa: ANN401 - whatever was given
    known = {id(spec.attack): name for name, spec in ATTACKS.items()}
    if isinstance(attack, functools.partial) and not attack.args:
        knobs = ",".join(f"{key}={_text(value)}" for key, value in attack.keywords.items())
        return f"{_named(attack.func)}:{knobs}" if knobs else _named(attack.func)
    if id(attack) in known:
        return known[id(attack)]
    raise InvalidInput(
        f"attacks must be names such as 'pgd', or functions of epsball.attacks, got {attack!r}; "
        "an attack of your own joins the table through the entry-point group epsball.attacks"
    )


def _text(value: Any) -> str:  # noqa: ANN401 - a setting's value
    if isinstance(value, bool):
        return str(value).lower()
    return value.__name__.replace("_", "-") if callable(value) else str(value)


def whole(name: str, value: Any) -> int | None:  # noqa: ANN401 - a number of any library
    """Read a count, of numpy or torch too; None stays None.

    Raises:
        InvalidInput: not a whole number.

    Example:
        >>> whole("steps", 3.0), whole("steps", None)
        (3, None)
    """
    number = value.item() if hasattr(value, "item") else value
    if number is None:
        return None
    if isinstance(number, int | float) and not isinstance(number, bool) and number == int(number):
        return int(number)
    raise InvalidInput(f"{name} must be a whole number, got {value!r}")


def truth(name: str, value: Any) -> bool:  # noqa: ANN401 - of any library
    """Read a yes or no, of numpy or torch too.

    Raises:
        InvalidInput: it is neither; text such as "no" would count as yes.

    Example:
        >>> truth("full_budget", True)
        True
    """
    answer = value.item() if hasattr(value, "item") else value
    if not isinstance(answer, bool):
        raise InvalidInput(f"{name} must be True or False, got {value!r}")
    return answer


def chosen(name: str, one: Any, alias: str, other: Any) -> Any:  # noqa: ANN401 - any argument
    """Return an argument that has two names.

    Raises:
        InvalidInput: both are given.
    """
    if one is not None and other is not None:
        raise InvalidInput(f"{name} and {alias} are one argument: give one of the two")
    return other if one is None else one


def check_known(who: str, given: Iterable[str], function: Callable[..., Any]) -> None:
    """Refuse arguments that are none of a function's, with the nearest name.

    Raises:
        InvalidInput: there is one.
    """
    known = set(inspect.signature(function).parameters) - {"spec"}
    for name in given:
        if name not in known:
            raise unknown_name(f"argument of {who}", name, known)


def read_seconds(text: float | str | None) -> float | None:
    """Read a length of time: 90, "90s", "10m", "1h30m".

    Raises:
        InvalidInput: it is none.

    Example:
        >>> read_seconds("1h30m"), read_seconds("90s"), read_seconds("2.5m"), read_seconds(8)
        (5400.0, 90.0, 150.0, 8.0)
    """
    if text is None or isinstance(text, int | float):
        return None if text is None else float(text)
    parts = re.fullmatch(
        r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip()
    )
    if parts is None or not any(parts.groups()):
        raise InvalidInput(f"--budget must be a time such as 10m, 90s or 1h30m, got {text!r}")
    hours, minutes, rest = (float(part or 0) for part in parts.groups())
    total = 3600 * hours + 60 * minutes + rest
    if total <= 0:
        raise InvalidInput(f"--budget must be more than nothing, got {text!r}")
    return total


def check_radii(settings: Sequence[AttackSetting], shape: tuple[int, int, int]) -> None:
    """Refuse radii that leave no room in the box of images of a shape, or no entry to change."""
    for setting in settings:
        for eps in setting.eps:
            if setting.norm != "none":
                check_room(setting.variant, eps, setting.norm, math.prod(shape))
