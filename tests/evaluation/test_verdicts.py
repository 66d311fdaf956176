"""Verdict mode: less work, the same verdicts, and nothing said that was not measured."""

import math
from typing import Any

import polars as pl
import pytest
import torch
from tests.evaluation.conftest import sample_images
from torch import Tensor, nn

from epsball import audit
from epsball.evaluation.engine.surrogate import SurrogateModel, checked_surrogate
from epsball.evaluation.records.schema import MEANINGLESS_WHEN_RETIRED
from epsball.evaluation.result import Audit

RADII = [0.05, 0.1, 0.2]
DATA = sample_images(120)


def run(model: nn.Module, attacks: list[str], **options: Any) -> Audit:
    options = {"eps": RADII, "precision": "float32"} | options
    return audit(model, DATA, attacks=attacks, **options)


def robust(found: Audit, variant: str) -> list[float]:
    rows = [r for r in found.summary["results"] if r["variant"] == variant]
    return [row["robust_accuracy"] for row in rows]


def right_and_safe(found: Audit, variant: str, eps: float) -> set[int]:
    stored = found.records.filter(variant=variant, eps=eps)
    kept = stored.filter(pl.col("safe") & (pl.col("clean_prediction") == pl.col("label")))
    return set(kept["index"])


def test_verdicts_are_those_of_the_full_budget_for_less(model: nn.Module) -> None:
    whole = run(model, ["pgd:steps=20"], full_budget=True)
    quick = run(model, ["pgd:steps=20"])
    # the smallest eps is attacked by the same walks; larger ones inherit successes
    first = RADII[0]
    assert right_and_safe(quick, "pgd:steps=20", first) == right_and_safe(
        whole, "pgd:steps=20", first
    )
    for eps in RADII:
        lost = right_and_safe(quick, "pgd:steps=20", eps) - right_and_safe(
            whole, "pgd:steps=20", eps
        )
        assert len(lost) <= 1
    assert quick.summary["cost"]["backwards"] < 0.7 * whole.summary["cost"]["backwards"]


def test_images_wrong_when_clean_are_not_attacked(model: nn.Module) -> None:
    labels = DATA[1].clone()
    labels[::10] = (labels[::10] + 1) % 5
    report = audit(
        model, (DATA[0], labels), attacks=["pgd:steps=5", "fgsm", "square:queries=20"], eps=RADII
    )
    wrong = report.records.filter(pl.col("clean_prediction") != pl.col("label"))
    assert len(wrong) > 0
    assert wrong["safe"].sum() == 0
    assert wrong["forwards"].sum() == 0
    assert wrong["excess"].to_list() == [-eps for eps in wrong["eps"]]


def test_what_is_fooled_stays_fooled_in_larger_balls(model: nn.Module) -> None:
    report = run(model, ["pgd:steps=5"])
    assert robust(report, "pgd:steps=5") == sorted(robust(report, "pgd:steps=5"), reverse=True)
    small = report.records.filter(eps=RADII[0]).filter(~pl.col("safe"))["index"]
    later = report.records.filter(eps=RADII[-1]).filter(pl.col("index").is_in(small.implode()))
    assert later["safe"].sum() == 0
    assert later["backwards"].sum() == 0


def test_what_retirement_makes_meaningless_is_null(model: nn.Module) -> None:
    report = run(model, ["pgd:steps=5"])
    for column in MEANINGLESS_WHEN_RETIRED:
        assert report.records[column].null_count() == len(report.records), column
    result = report.summary["results"][0]
    assert result["confidence"] is None
    assert result["sizes"]["l2"] is None
    assert report.summary["full_budget"] is False


def test_a_fast_search_claims_nothing_the_model_does_not_confirm(model: nn.Module) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fast, exact = run(model, ["pgd"], precision="fast"), run(model, ["pgd"])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    differing = sum(
        len(right_and_safe(fast, "pgd", eps) ^ right_and_safe(exact, "pgd", eps)) for eps in RADII
    )
    assert differing <= 0.01 * len(RADII) * len(DATA[0])


class Coarse(nn.Module):
    """A module whose answer in bfloat16 is another one."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(36, 2, bias=False)
        nn.init.constant_(self.line.weight, 1.0)
        self.line.weight.data[0] += 1e-3  # nothing in bfloat16

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.line(inputs.flatten(1)) - torch.tensor([5e-3, 0.0])
        return scores


def test_a_copy_that_says_something_else_is_not_used() -> None:
    sample = DATA[0][:16].float() / 255
    assert checked_surrogate(Coarse().eval(), sample, "bfloat16") is None


def test_a_surrogate_leaves_the_model_alone(model: nn.Module) -> None:
    assert all(p.requires_grad for p in model.parameters())
    surrogate = SurrogateModel(model, "bfloat16")
    sample = DATA[0][:16].float() / 255
    assert torch.allclose(surrogate(sample), model(sample), atol=0.2)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())


def test_thresholds_are_read_off_the_distances_of_a_minimal_attack(model: nn.Module) -> None:
    report = run(model, ["deepfool", "pgd"])
    stored = report.records.filter(variant="deepfool")
    right = stored.filter(pl.col("clean_prediction") == pl.col("label"))
    assert (right["safe"] == (right["distance"] > right["eps"] * (1 + 1e-6))).all()
    rows = [r for r in report.summary["results"] if r["variant"] == "deepfool"]
    assert rows[0]["median_distance"] == right.filter(eps=RADII[0])["distance"].median()
    assert rows[0]["forwards"] > 0
    assert rows[1]["forwards"] == 0
    assert {row["eps"] for row in report.summary["worst_case"]} == set(RADII)


def test_an_attack_without_a_ball_stands_beside_the_others(model: nn.Module) -> None:
    report = run(model, ["spatial:angles=3,shifts=3", "fgsm"])
    (beside,) = [r for r in report.summary["results"] if r["norm"] == "none"]
    assert beside["eps"] is None
    assert 0 <= beside["robust_accuracy"] <= beside["clean_accuracy"]
    assert all(row["norm"] == "linf" for row in report.summary["worst_case"])


def test_the_query_budget_holds(model: nn.Module) -> None:
    report = run(model, ["square", "spsa"], queries=30)
    assert report.records["forwards"].max() <= 30  # type: ignore[operator]  # integers
    assert report.records["backwards"].sum() == 0


@pytest.mark.parametrize(
    "attack",
    [pytest.param("strongest", marks=pytest.mark.slow), "autoattack:queries=50,steps=10"],
)
def test_ensembles_are_no_weaker_than_their_parts(model: nn.Module, attack: str) -> None:
    report = run(model, ["apgd:steps=10", attack], eps=[0.1])
    parts, whole = (r["robust_accuracy"] for r in report.summary["results"])
    assert whole <= parts
    assert not math.isnan(whole)
