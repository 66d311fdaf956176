"""A bar for robust accuracy: which rate is judged, at which eps, and the result. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from epsball.errors import InvalidInput
from epsball.evaluation.metrics.present import counted, eps_text, interval, percent
from epsball.evaluation.metrics.sequential import anytime_interval
from epsball.named_settings import read_number

Judge: TypeAlias = Literal["point", "lower"]
When: TypeAlias = Literal["early", "all"]
_ERROR = 0.05  # chance that a gate which ends early decides otherwise than the truth


@dataclass(frozen=True)
class Gate:
    """A bar for robust accuracy, and when it is judged.

    Args:
        at_least: the bar, in [0, 1].
        judge: "point": the rate of the run's images; "lower": the lower end of its 95 % interval.
        when: "early": images come in random order, and the run ends as soon as they settle the
            verdict; "all": after all images.
    """

    at_least: float
    judge: Judge = "point"
    when: When = "early"

    def __post_init__(self) -> None:
        """Refuse a bar that is no share."""
        if not 0 <= self.at_least <= 1:
            raise InvalidInput(f"Gate: at_least must be in [0, 1], got {self.at_least}")

    def settled(self, rows: Sequence[Mapping[str, Any]], of: int) -> bool | None:
        """Say whether the images so far settle the verdict: True: passed, None: not yet.

        Whatever the truth, the chance of a verdict against it is at most 5 %.

        Args:
            rows: the rates that are judged: each with n images and their robust_accuracy.
            of: images of the run.

        Example:
            >>> none_robust = [{"n": 16, "robust_accuracy": 0.0}]
            >>> Gate(0.4).settled(none_robust, 200), Gate(0.2).settled(none_robust, 200)
            (False, None)
        """
        verdicts = [self._settled(row, of, 1 - _ERROR / len(rows)) for row in rows]
        if False in verdicts:
            return False
        return True if all(verdicts) else None

    def _settled(self, row: Mapping[str, Any], of: int, level: float) -> bool | None:
        robust, count = round(row["robust_accuracy"] * row["n"]), row["n"]
        whole = of if self.judge == "point" else None
        low, high = anytime_interval(robust, count, population=whole, level=level)
        if low >= self.at_least:
            return True
        # the lower end cannot reach the bar any more even if all other images are robust
        best, _ = anytime_interval(robust + of - count, of, population=whole, level=level)
        return False if high < self.at_least or best < self.at_least else None


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
        ended: after how many images a run that may end early did, and why.
    """

    at_least: float
    judge: Judge
    value: float
    norm: str
    eps: float | None
    images: int
    ended: str = ""

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
            f"{percent(self.at_least)}{self.ended}"
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
    ended = _ended(summary["gate"], lowest) if summary.get("gate") else ""
    return GateResult(at_least, judge, min(values), lowest["norm"], eps, lowest["n"], ended)


def _ended(gate: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Say after how many images the run ended, and why."""
    if row["n"] == gate["of"]:
        return f"; all {counted(row['n'], 'image')} were attacked"
    why = "they settled the verdict" if gate["settled"] else "the time budget was over"
    return (
        f"; the run ended after {row['n']:,} of {counted(gate['of'], 'image')} in random order, "
        f"when {why} (95 % interval, whenever it ends: {interval(row['robust_accuracy_ci'])})"
    )


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
        percent = f"{share:g}% or {share / 100:g}" if 1 < share <= 100 else "40% or 0.4"
        raise InvalidInput(f"{option} must be in [0, 1], got {text!r}; write {percent}")
    return share
