"""A gate that ends early: its interval, its errors on simulated runs, and an audit that ends."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from epsball import audit
from epsball.errors import InvalidInput
from epsball.evaluation.metrics.gate import Gate, Judge, judge_gate
from epsball.evaluation.metrics.sequential import anytime_interval
from epsball.report import write_report
from epsball.report.ci.files import write_ci_files

RUNS, IMAGES = 200, 400


def run_gate(gate: Gate, robust: np.ndarray, order: np.ndarray) -> tuple[bool, int]:
    """Run a gate over verdicts in an order, in shards as an audit has them."""
    at, size = 0, 16
    while True:
        at, size = min(at + size, len(robust)), int(np.ceil(1.5 * size))
        rate = float(robust[order[:at]].mean())
        settled = gate.settled([{"n": at, "robust_accuracy": rate}], len(robust))
        if settled is not None:
            return settled, at
        if at == len(robust):
            low = anytime_interval(round(rate * at), at)[0]
            return (rate if gate.judge == "point" else low) >= gate.at_least, at


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_the_ends_have_the_probability_that_defines_them(a: int, b: int, rest: int) -> None:
    from scipy.stats import binom, hypergeom

    floor = 0.05 / (a + b + 1)
    low, high = anytime_interval(a, a + b)
    assert low <= a / max(1, a + b) <= high
    for end, outside in ((low, low - 1e-6), (high, high + 1e-6)):
        if 1e-4 < end < 1 - 1e-4:
            assert binom.pmf(a, a + b, end) == pytest.approx(floor, rel=1e-6)
            assert binom.pmf(a, a + b, outside) < floor
    whole = a + b + rest
    if not whole:
        return
    low, high = anytime_interval(a, a + b, population=whole)
    inside = [k for k in range(whole + 1) if hypergeom.pmf(a, whole, k, a + b) >= floor]
    assert (low, high) == (inside[0] / whole, inside[-1] / whole)


def test_closed_forms() -> None:
    for count in (1, 10, 300):
        assert anytime_interval(0, count)[1] == pytest.approx(
            1 - (0.05 / (count + 1)) ** (1 / count)
        )
        assert anytime_interval(count, count)[0] == pytest.approx(
            (0.05 / (count + 1)) ** (1 / count)
        )
    assert anytime_interval(7, 20, population=20) == (0.35, 0.35)
    with pytest.raises(InvalidInput, match="successes <= count <= population"):
        anytime_interval(3, 2)
    with pytest.raises(InvalidInput, match="Gate: at_least"):
        Gate(40)


@pytest.mark.parametrize("judge", ["point", "lower"])
@pytest.mark.parametrize("bar", [0.3, 0.5, 0.9])
def test_false_passes_and_false_alarms_over_200_runs(judge: Judge, bar: float) -> None:
    """The truth lies a little on the wrong side of the bar: where errors are likeliest."""
    generator = np.random.default_rng(int(100 * bar))
    wrong = 0
    for run in range(RUNS):
        above = run % 2 == 0
        if judge == "point":  # the rate of these images themselves
            robust = np.zeros(IMAGES, dtype=bool)
            robust[: round(bar * IMAGES) + (0 if above else -1)] = True
        else:  # that of the distribution; a pass against the truth is the only error
            robust = generator.random(IMAGES) < bar - 1e-3
        passed, _ = run_gate(Gate(bar, judge), robust, generator.permutation(IMAGES))
        wrong += passed != above if judge == "point" else passed
    assert wrong <= 0.05 * RUNS + 2 * np.sqrt(RUNS * 0.05 * 0.95)


@pytest.mark.parametrize("judge", ["point", "lower"])
@pytest.mark.parametrize(("truth", "verdict"), [(0.02, False), (0.9, True)])
def test_a_clear_case_takes_a_tenth_of_the_images(
    truth: float, verdict: bool, judge: Judge
) -> None:
    generator = np.random.default_rng(1)
    taken = []
    for _ in range(RUNS):
        robust = generator.random(IMAGES) < truth
        passed, images = run_gate(Gate(0.4, judge), robust, generator.permutation(IMAGES))
        assert passed is verdict
        taken.append(images)
    assert np.mean(np.array(taken) <= IMAGES / 10) > 0.95


class Brightness(nn.Module):
    """Two classes by mean brightness."""

    def forward(self, inputs: Tensor) -> Tensor:
        height = 20 * (inputs.flatten(1).mean(1) - 0.5)
        return torch.stack([height, -height], 1)


def images_of(robust: int, fooled: int) -> tuple[Tensor, Tensor]:
    """Images that withstand an eps of 0.1, first, and such that do not."""
    levels = torch.tensor([0.9] * robust + [0.55] * fooled)
    return levels.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous(), torch.zeros(
        len(levels)
    ).long()


ASKED: dict[str, Any] = {"attacks": ["fgsm"], "eps": [0.1], "micro_batch": 64}


def test_an_audit_ends_early_says_so_and_continues(tmp_path: Path) -> None:
    model, data = Brightness().eval(), images_of(20, 180)
    report = audit(model, data, gate=Gate(0.5), out=tmp_path / "run", **ASKED)
    worst = report.summary["worst_case"][0]
    assert worst["n"] == 16
    assert report.summary["complete"]
    assert tuple(worst["robust_accuracy_ci"]) == anytime_interval(
        round(16 * worst["robust_accuracy"]), 16
    )
    assert "95 % interval, whenever the run ends" in str(report.headline)
    assert "16 of 200 images" in str(report.headline)
    gate = judge_gate(report.summary, 0.5)
    assert not gate.passed
    assert (
        "the run ended after 16 of 200 images in random order, when they settled" in gate.sentence
    )
    write_report(tmp_path / "run")
    files = [file.read_text() for file in write_ci_files(tmp_path / "run", gate)]
    files.append((tmp_path / "run" / "report.html").read_text())
    for text in files:
        assert "ended after 16 of 200 images" in text
    again = audit(model, data, gate=Gate(0.08), out=tmp_path / "run", **ASKED)
    assert again.summary["worst_case"][0]["n"] > 16
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["data"]["order"] == "random"
    with pytest.raises(InvalidInput, match=r"data\.order"):
        audit(model, data, out=tmp_path / "run", **ASKED)


def test_a_gate_of_all_images_attacks_all_in_their_own_order() -> None:
    model, data = Brightness().eval(), images_of(20, 44)
    report = audit(model, data, gate=Gate(0.9, when="all"), **ASKED)
    assert report.records["index"].to_list() == list(range(64))
    assert "gate" not in report.summary
    assert "interval of the sample" in str(report.headline)


def test_without_a_ball_every_attack_has_to_pass() -> None:
    rows = [{"n": 40, "robust_accuracy": 1.0}, {"n": 40, "robust_accuracy": 0.0}]
    assert Gate(0.5).settled(rows, 400) is False
    assert Gate(0.5).settled(rows[:1], 400) is True
    assert Gate(0.5).settled([rows[0], {"n": 40, "robust_accuracy": 0.5}], 400) is None
