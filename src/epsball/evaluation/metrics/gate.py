"""A bar for robust accuracy: which rate is judged, at which eps, and the result. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from epsball.errors import InvalidInput
from epsball.evaluation.metrics.present import eps_text, percent
from epsball.named_settings import read_number

Judge: TypeAlias = Literal["point", "lower"]


@dataclass(frozen=True)
class GateResult:
    """What was judged, and the verdict.

    Args:
        at_least: the bar, in [0, 1].
        judge: "point": the measured rate; "lower": the lower end of its 95 % interval.
        value: the number that was judged, in [0, 1].
        norm: of the ball in which it was measured; "none" without one.
        eps: its radius, input units; None without a ball.
        images: how many images the rate is of.
    """

    at_least: float
    judge: Judge
    value: float
    norm: str
    eps: float | None
    images: int

    @property
    def passed(self) -> bool:
        """Say whether the value reaches the bar."""
        return self.value >= self.at_least

    @property
    def sentence(self) -> str:
        """Return the verdict in one sentence."""
        what = "robust accuracy" if self.judge == "point" else "lower bound of robust accuracy"
        ball = "" if self.eps is None else f" within {eps_text(self.eps)} in {self.norm}"
        relation = "reaches" if self.passed else "is below"
        return (
            f"{'passed' if self.passed else 'missed'}: {what}{ball} {percent(self.value)} "
            f"({self.images:,} image{'' if self.images == 1 else 's'}) {relation} the bar of "
            f"{percent(self.at_least)}"
        )


def judge_gate(summary: Mapping[str, Any], at_least: float, judge: Judge = "point") -> GateResult:
    """Judge the worst rate of an audit against a bar.

    Args:
        summary: the content of summary.json, of an audit without a blocking finding.
        at_least: the bar, in [0, 1].
        judge: "point" or "lower".

    Returns:
        The verdict on the lowest worst-case rate; without a norm ball, on the lowest rate of an
        attack.

    Example:
        >>> row = {"norm": "linf", "eps": 0.1, "n": 200, "robust_accuracy": 0.5}
        >>> row["robust_accuracy_ci"] = [0.431, 0.569]
        >>> judge_gate({"worst_case": [row], "results": []}, 0.45, "lower").passed
        False
    """
    rows = summary["worst_case"] or summary["results"]

    values = [
        float(row["robust_accuracy"] if judge == "point" else row["robust_accuracy_ci"][0])
        for row in rows
    ]
    lowest = rows[values.index(min(values))]
    has_ball = lowest["norm"] != "none"
    eps = lowest["eps"] if has_ball else None
    return GateResult(at_least, judge, min(values), lowest["norm"], eps, lowest["n"])


def read_share(text: str, option: str) -> float:
    """Read a share: 0.4, 2/5 or 40%.

    Args:
        text: what was typed.
        option: its name, for the message.

    Returns:
        The share, in [0, 1].

    Raises:
        InvalidInput: it is none of these, or outside [0, 1].

    Example:
        >>> read_share("40%", "--fail-under"), read_share("2/5", "--fail-under")
        (0.4, 0.4)
    """
    typed = text.strip()
    try:
        share = read_number(typed.removesuffix("%")) / (100 if typed.endswith("%") else 1)
    except ValueError:
        raise InvalidInput(
            f"{option} must be a share such as 0.4, 2/5 or 40%, got {text!r}"
        ) from None
    if not 0 <= share <= 1:
        raise InvalidInput(f"{option} must be in [0, 1], got {text!r}; write 40% or 0.4")
    return share
