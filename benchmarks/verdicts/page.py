"""The page of the comparison, in Markdown."""

from collections.abc import Mapping
from typing import Any

from benchmarks.verdicts.networks import CASES, COLLAPSED
from benchmarks.verdicts.sides import cost

ALARMS = ("verdict-too-high", "transfer-failure", "unconstrained-failure", "gradient-masking")
_HEAD = """# A verdict, and what it costs in passes

`strongest` with its control, as `epsball audit` runs it, beside AutoAttack's reference code
(github.com/fra31/auto-attack, {commit}; standard, linf) on the same images of networks that
`benchmarks/verdicts/networks.py` trains. Cost is passes of an image, f + 2 b: a backward pass
counts twice. The control (`belief`) is part of our cost; the checks, which look for what is wrong
with the evaluation and not for adversarial images, stand in a column of their own. With three
classes the reference code's targeted APGD raises an error and is left out.

Made by `{command}`.

"""


def page(rows: Mapping[str, Mapping[str, Any]], command: str, commit: str) -> str:
    """Write the table of the cases measured so far."""
    text = _HEAD.format(command=command, commit=commit)
    heads = (
        "network", "eps", "images", "robust, AutoAttack", "robust, ours", "images above",
        "f and b, AutoAttack", "f and b, ours", "of it belief", "AutoAttack's cost over ours",
        "to reach", "checks", "findings",
    )  # fmt: skip
    text += _line(heads) + _line(["---"] * len(heads))
    text += "".join(_line(_cells(rows[name])) for name in CASES if name in rows)
    collapsed = [rows[name] for name in COLLAPSED if name in rows]
    if collapsed:
        text += "\n## Networks that collapsed in FGSM training\n\n"
        good = sum(_is_safe(row) for row in collapsed)
        text += f"Right verdict (no image above AutoAttack's), or an alarm: {good} of "
        text += f"{len(collapsed)}.\n\n" + _line(heads) + _line(["---"] * len(heads))
        text += "".join(_line(_cells(row)) for row in collapsed)
    return text


def _is_safe(row: Mapping[str, Any]) -> bool:
    alarm = any(code in ALARMS for code in row["ours"]["findings"])
    return alarm or row["ours"]["robust"] <= row["reference"]["robust"]


def _cells(row: Mapping[str, Any]) -> list[str]:
    us, them, count = row["ours"], row["reference"], row["images"]
    ratio = _cost(them) / _cost(us)
    above = round((us["robust"] - them["robust"]) * count)
    reached = (
        ""
        if not row["target"]
        else f"{row['target']:g}: " + ("reached" if ratio >= row["target"] else "missed")
    )
    return [
        row["about"], f"{row['eps']:.3g}", str(count), f"{them['robust']:.1%}",
        f"{us['robust']:.1%}", f"{above:+d}" if above else "0",
        f"{them['forwards']:,.0f} and {them['backwards']:,.0f}",
        f"{us['forwards']:,.0f} and {us['backwards']:,.0f}", f"{us['belief']:,.0f}",
        f"{ratio:.1f}", reached, f"{us['checks']:,.0f}", ", ".join(us["findings"]) or "none",
    ]  # fmt: skip


def _cost(side: Mapping[str, Any]) -> float:
    return cost(side["forwards"], side["backwards"])


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |\n"
