"""The control of a cheap verdict: what it promises, when it alarms, and when it is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom
from tests.evaluation.conftest import sample_images
from tests.evaluation.masked import Around, quantised, quantised_and_rippled
from torch import Tensor, nn

from epsball import audit
from epsball.errors import InvalidInput
from epsball.evaluation import belief
from epsball.evaluation.metrics.belief import (
    Believed,
    control_count,
    most_fallible,
    read_belief,
)
from epsball.types import ModelInfo


@given(st.integers(1, 80), st.data())
def test_the_bound_is_the_last_number_a_clean_control_leaves_likely(
    survivors: int, drawn: st.DataObject
) -> None:
    controls = drawn.draw(st.integers(1, survivors))
    most = most_fallible(survivors, controls)
    rounding = 1e-12
    assert hypergeom.pmf(0, survivors, most, controls) > 0.05 - rounding
    if most < survivors - controls:
        assert hypergeom.pmf(0, survivors, most + 1, controls) <= 0.05 + rounding
    assert most_fallible(survivors, survivors) == 0
    assert most_fallible(survivors, 0) == survivors


@pytest.mark.parametrize("fallible", [0.0, 0.02, 0.08, 0.2, 0.9])
def test_the_stated_95_percent_hold_over_200_audits(fallible: float) -> None:
    generator = np.random.default_rng(int(1000 * fallible))
    survivors, controls, wrong, alarms = 150, 30, 0, 0
    for _ in range(200):
        falls = np.zeros(survivors, dtype=bool)
        falls[: round(fallible * survivors)] = True
        fallen = int(falls[generator.choice(survivors, controls, replace=False)].sum())
        believed = Believed("autoattack", 300, survivors, controls, fallen)
        alarms += fallen > 0
        if believed.at_most_lower is not None:
            wrong += falls.sum() / 300 > believed.at_most_lower
    assert wrong <= 0.05 * 200 + 2 * np.sqrt(200 * 0.05 * 0.95)
    assert alarms == (0 if fallible == 0 else pytest.approx(alarms))
    assert fallible < 0.2 or alarms > 190


def test_how_many_controls_are_taken() -> None:
    assert control_count("auto", 200, 1e9, 10_700) == 30
    assert control_count("auto", 200, 10 * 10_700, 10_700) == 10
    assert control_count("auto", 200, 4.9 * 10_700, 10_700) == 0
    assert control_count("auto", 3, 4 * 10_700, 10_700) == 3
    assert control_count("auto", 0, 1e9, 10_700) == control_count("none", 9, 1e9, 1) == 0
    assert control_count(30, 12, 0, 10_700) == 12
    assert (read_belief("12"), read_belief(7), read_belief(" auto ")) == (12, 7, "auto")
    for text in ("0", "-3", "x", "1.5", ""):
        with pytest.raises(InvalidInput, match="belief must be a number of control images"):
            read_belief(text)


def test_the_sentence_of_each_outcome() -> None:
    clean = Believed("autoattack", 200, 100, 30, 0)
    assert clean.sentence == (
        "control: autoattack fools 0 of 30 images drawn from 100 survivors, so it would lower "
        "this by at most "
        f"{100 * most_fallible(100, 30) / 200:.1f} points (95 %)"
    )
    alarmed = Believed("autoattack", 200, 100, 30, 2)
    assert alarmed.at_most_lower is None
    assert "fools 2 of 30 images drawn from 100 survivors, so that all" in alarmed.sentence
    every = Believed("autoattack", 200, 12, 12, 0, requested=30)
    assert every.at_most_lower == 0
    assert "0 of all 12 survivors" in every.sentence
    assert Believed("autoattack", 200, 0, 0, 0).at_most_lower == 0
    nothing = Believed("autoattack", 200, 100, 0, 0)
    assert nothing.at_most_lower is None
    assert "would cost more than the verdict did" in nothing.sentence


class Brightness(nn.Module):
    """Two classes by mean brightness."""

    def forward(self, inputs: Tensor) -> Tensor:
        height = 20 * (inputs.flatten(1).mean(1) - 0.5)
        return torch.stack([height, -height], 1)


def bright(count: int, level: float = 0.9) -> tuple[Tensor, Tensor]:
    return torch.full((count, 1, 4, 4), level), torch.zeros(count, dtype=torch.int64)


ASKED: dict[str, Any] = {"attacks": ["pgd:steps=5"], "eps": [0.1], "micro_batch": 64}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control of few steps."""
    monkeypatch.setattr(belief, "CONTROL", "autoattack:steps=3,queries=20")


@pytest.mark.usefixtures("short")
def test_a_right_verdict_gets_a_bound_and_no_more_than_all_survivors() -> None:
    model = Brightness().eval()
    report = audit(model, bright(40), belief=10, **ASKED)
    result = report.summary["belief"]
    assert (result["controls"], result["survivors"], result["fallen"]) == (10, 40, 0)
    assert result["at_most_lower"] == most_fallible(40, 10) / 40
    assert result["sentence"] in str(report.headline)
    assert report.summary["phases"]["belief"]["forwards"] >= 10 * 20
    assert [row["variant"] for row in report.summary["results"]] == ["pgd:steps=5"]


@pytest.mark.usefixtures("short")
def test_no_more_than_all_survivors_are_taken() -> None:
    every = audit(Brightness().eval(), bright(6), belief=10, **ASKED).summary["belief"]
    assert (every["controls"], every["at_most_lower"]) == (6, 0)
    assert "of all 6 survivors" in every["sentence"]


def test_a_masked_network_raises_the_alarm(
    model: nn.Module, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(belief, "CONTROL", "autoattack:steps=3,queries=200")
    masked = quantised_and_rippled(model)
    options: dict[str, Any] = {"attacks": ["pgd:steps=5"], "eps": [0.2], "out": tmp_path / "run"}
    report = audit(masked, sample_images(20), belief=8, micro_batch=32, **options)
    codes = {one.code: one for one in report.findings}
    assert codes["verdict-too-high"].evidence["fallen"] > 0
    rates = {row["variant"]: row["robust_accuracy"] for row in report.summary["results"]}
    assert rates["autoattack:steps=3,queries=200"] < rates["pgd:steps=5"]
    assert (
        report.summary["worst_case"][0]["robust_accuracy"]
        <= rates["autoattack:steps=3,queries=200"]
    )
    assert "all images were attacked with it" in str(report.headline)
    assert report.summary["belief"]["at_most_lower"] is None


@pytest.mark.usefixtures("short")
def test_controls_without_a_gradient_are_a_finding_and_no_number() -> None:
    stepped = Around(Brightness(), before=quantised)
    options = ASKED | {"attacks": ["square:queries=20"]}
    report = audit(stepped, bright(12), belief=6, **options)
    assert "control-without-gradient" in {one.code for one in report.findings}
    assert report.summary["belief"]["at_most_lower"] is None
    assert "no gradient" in report.summary["belief"]["sentence"]


class Labels(nn.Module):
    """One-hot answers only."""

    info = ModelInfo(2, gives="labels", differentiable=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.one_hot(Brightness()(inputs).argmax(1), 2).float()


@pytest.mark.parametrize(
    ("model", "asked", "why"),
    [
        (Labels(), {"attacks": ["hopskipjump:queries=30"]}, "gives labels only"),
        (Brightness(), {"attacks": ["strongest"], "norm": "l1"}, "is for linf and l2, got l1"),
        (Brightness(), {"target": "1"}, "verdicts towards a target are not controlled"),
        (Brightness(), {"attacks": ["autoattack"]}, "is among the attacks itself"),
    ],
)
def test_what_cannot_be_controlled_is_refused(
    model: nn.Module, asked: dict[str, Any], why: str, tmp_path: Any
) -> None:
    with pytest.raises(InvalidInput, match=why) as refused:
        audit(model.eval(), bright(8), belief=5, out=tmp_path / "run", **(ASKED | asked))
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()
