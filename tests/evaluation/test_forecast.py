"""What an audit is said to cost before it begins, beside what it then costs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.evaluation.conftest import sample_images
from torch import Tensor, nn

from epsball import audit
from epsball.attacks import ATTACKS
from epsball.attacks.ensembles.stages import SHARES, STAGES, foretold
from epsball.evaluation.result import Audit
from epsball.types import Passes


def both(report: Audit, phase: str) -> tuple[float, float]:
    """Return the passes that were spent, and those that were foretold."""
    spent, result = (report.summary[key][phase] for key in ("phases", "foretold"))
    return Passes(spent["forwards"], spent["backwards"]).cost, Passes(
        result["forwards"], result["backwards"]
    ).cost


class Steep(nn.Module):
    """Two classes by mean brightness; the lead of the label is known in closed form."""

    def forward(self, inputs: Tensor) -> Tensor:
        height = 20 * (inputs.flatten(1).mean(1) - 0.5)
        return torch.stack([height, -height], 1)


def leading(*leads: float) -> tuple[Tensor, Tensor]:
    """Images that lie so far from the border in linf; every second one on its other side."""
    sides = torch.tensor([1.0, -1.0]).repeat(len(leads))[: len(leads)]
    levels = 0.5 + torch.tensor(leads) * sides
    return levels.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous(), (sides < 0).long()


def test_the_cost_of_strongest_is_that_of_its_stages() -> None:
    stages = [stage for stage in STAGES if "linf" in stage.norms and not stage.rejecting]
    assert foretold().cost == pytest.approx(
        sum(stage.passes.cost * SHARES[stage.when] for stage in stages)
    )
    by_name = {stage.name: stage.passes for stage in STAGES}
    assert by_name["squares"] == Passes(150, 0)
    assert by_name["towards a class"] == Passes(120, 120)
    assert by_name["cross-entropy from many starts"] == Passes(500, 500)
    assert foretold(rejects=True).cost > 10 * foretold().cost
    assert ATTACKS["strongest"].passes({"norm": "l1"}) == foretold("l1") != foretold()


def test_with_the_full_budget_gradients_are_foretold_exactly(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    options: dict[str, Any] = {"attacks": ["pgd", "fgsm"], "eps": [0.1, 0.2], "steps": 6}
    report = audit(model, data, full_budget=True, micro_batch=16, **options)
    spent, result = report.summary["phases"]["attacks"], report.summary["foretold"]["attacks"]
    assert result["backwards"] == spent["backwards"] == 60 * (2 * 6 + 1)
    assert result["forwards"] == pytest.approx(spent["forwards"], rel=0.3)
    assert result["seconds"] > 0


@pytest.mark.parametrize("within", [0, 8, 16])
def test_images_within_the_ball_cost_little(within: int) -> None:
    leads = [0.02] * within + [0.3] * (16 - within)
    options: dict[str, Any] = {"attacks": ["pgd:steps=50"], "eps": [0.1], "micro_batch": 16}
    report = audit(Steep().eval(), leading(*leads), **options)
    assert report.summary["worst_case"][0]["robust_accuracy"] == 1 - within / 16
    result = report.summary["foretold"]["attacks"]["backwards"]
    assert result == 50 * (16 - within) + 8 * within
    spent, cost = both(report, "attacks")
    assert cost == pytest.approx(spent, rel=0.15, abs=8 * 3 * within)


def test_a_plan_attacks_nothing_and_foretells_what_the_audit_foretells(
    model: nn.Module, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"attacks": ["strongest"], "eps": [0.05], "micro_batch": 16}
    plan = audit(model, sample_images(60), plan=True, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    assert plan.headline is None
    assert len(plan.records) == 0
    assert "Nothing was attacked" in repr(plan)
    assert plan.summary["phases"]["attacks"]["forwards"] == 0
    report = audit(model, sample_images(60), **options)
    for phase in ("attacks", "checks"):
        for key in ("forwards", "backwards"):
            result = plan.summary["foretold"][phase][key]
            assert result == report.summary["foretold"][phase][key]
