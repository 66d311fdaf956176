"""Every way in which an attack fails unnoticed has a model that causes it, and a finding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.evaluation.conftest import CLASSES, sample_images
from tests.evaluation.masked import (
    EPS,
    INDICATORS,
    Around,
    Brightness,
    Hiding,
    Shells,
    TwoFaced,
    downhill,
    other_models,
    quantised,
    quantised_and_rippled,
    raised,
    rate,
    rippled,
    run,
    saturated,
    two_tones,
)
from torch import Tensor, nn

from epsball.attacks import bpda, expectation, pgd
from epsball.errors import InvalidInput
from epsball.evaluation.checks.findings import FINDINGS
from epsball.evaluation.checks.walk import Walk
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.settings import make_settings
from epsball.models.purifiers.bit_depth import BitDepth
from epsball.models.purifiers.defended import defended
from epsball.types import ModelInfo


def test_honest_models_raise_none(model: nn.Module) -> None:
    attacks = ["pgd:steps=10", "bim", "mifgsm", "apgd:steps=10"]
    for number, good in enumerate((model, *other_models())):
        report = run(good, attacks=attacks, eps=[0.02, EPS], full_budget=number % 2 == 0)
        assert raised(report) == {}


@pytest.mark.parametrize("full_budget", [False, True])
def test_an_honest_copy_in_low_precision_raises_none(model: nn.Module, full_budget: bool) -> None:
    report = run(model, eps=[0.1, EPS], precision="fast", full_budget=full_budget)
    assert raised(report) == {}


@pytest.mark.parametrize(("norm", "eps"), [("l2", 1.0), ("l1", 3.0)])
def test_honest_models_raise_none_in_other_norms(model: nn.Module, norm: str, eps: float) -> None:
    attacks = ["apgd:steps=10"] + (["pgd:steps=10", "deepfool"] if norm == "l2" else [])
    assert raised(run(model, norm=norm, attacks=attacks, eps=[eps])) == {}


@pytest.mark.parametrize("levels", [2, 255])
def test_rounding_with_a_gradient_of_its_own_is_honest(model: nn.Module, levels: int) -> None:
    coarse = bpda(lambda x: (x * levels).round() / levels)
    assert raised(run(Around(model, before=coarse), eps=[0.02, EPS])) == {}


def test_what_is_wrong_when_clean_is_not_looked_at(model: nn.Module) -> None:
    images, labels = sample_images(40)
    assert raised(run(model, (images, (labels + 1) % CLASSES))) == {}


# 1. unavailable gradients, and 6. attacks that fail with every image allowed


@pytest.mark.parametrize("attack", ["pgd:steps=10", "bim", "apgd:steps=10"])
def test_saturated_logits(model: nn.Module, attack: str) -> None:
    report = run(saturated(model), attacks=[attack])
    assert {"zero-gradient", "unconstrained-failure"} <= raised(report).keys()
    assert rate(report) == 1
    for code in ("zero-gradient", "unconstrained-failure"):
        assert "objective=margin" in raised(report)[code].remedy
    left = raised(report)["unconstrained-failure"].evidence
    assert (left["left"], left["of"]) == (16, 16)


def test_the_margin_sees_through_saturation(model: nn.Module) -> None:
    report = run(saturated(model), attacks=["pgd:steps=10,objective=margin"])
    assert "unconstrained-failure" not in raised(report)
    assert rate(report) < 0.1


def test_strongest_warns_where_only_its_squares_can_see(model: nn.Module) -> None:
    report = run(Around(model, before=quantised), attacks=["strongest"])
    assert "zero-gradient" in raised(report)
    assert not report.blocked


def test_quantised_input(model: nn.Module) -> None:
    report = run(Around(model, before=quantised))
    assert raised(report).keys() == {"no-gradient"}
    assert report.blocked
    remedy = raised(report)["no-gradient"].remedy
    assert "bpda" in remedy
    assert "--attack square" in remedy
    mended = run(Around(model, before=bpda(quantised)))
    assert raised(mended) == {}
    assert rate(mended) < 0.1


def test_a_step_that_is_not_differentiable_is_refused(model: nn.Module) -> None:
    with pytest.raises(InvalidInput, match="--attack square or hopskipjump"):
        run(Around(model, before=lambda x: torch.from_numpy(x.detach().numpy().round(1))))


def test_a_gradient_that_leads_downhill(model: nn.Module) -> None:
    report = run(Around(model, before=downhill))
    assert {"gradient-noise", "unconstrained-failure"} <= raised(report).keys()
    assert rate(report) == 1


def test_a_minimal_attack_that_finds_nothing_at_any_distance(model: nn.Module) -> None:
    report = run(Around(model, before=downhill), attacks=["deepfool"])
    assert raised(report)["unconstrained-failure"].evidence["of"] == 30
    assert "--attack square" in raised(report)["unconstrained-failure"].remedy


# 2. unstable predictions


def test_random_layer(model: nn.Module) -> None:
    noisy = Around(model, before=lambda x: x + 0.05 * torch.randn_like(x))
    result = raised(run(noisy))
    # a walk that is judged by chance may also look unfinished
    assert result.keys() - {"not-converged"} == {"random-forward"}
    assert "EoT" in result["random-forward"].remedy
    assert "expectation" in result["random-forward"].remedy


def test_the_mean_of_many_draws_of_a_random_layer(model: nn.Module) -> None:
    noisy = Around(model, before=lambda x: x + 0.05 * torch.randn_like(x))
    report = run(noisy, draws=8)
    assert raised(report).keys() - {"not-converged"} == {"few-draws"}
    assert raised(report)["few-draws"].evidence["draws"] == 8
    assert not report.blocked
    plain = {one.code: one for one in run(noisy).findings}["random-forward"].evidence["difference"]
    assert raised(report)["few-draws"].evidence["difference"] < plain


@pytest.mark.parametrize("masked", [rippled, quantised_and_rippled])
def test_a_loss_with_ripples(model: nn.Module, masked: Callable[..., nn.Module]) -> None:
    report = run(masked(model), attacks=["pgd:steps=10", "square:queries=150"])
    assert rate(report) > 0.9
    noise = raised(report)["gradient-noise"]
    assert noise.evidence["images"] == noise.evidence["of"] == 16
    assert "EoT: epsball.attacks.expectation" in noise.remedy
    assert "--attack square or strongest" in noise.remedy
    assert rate(report, 1) < 0.2  # square, the remedy


def test_the_mean_over_small_noise_sees_beyond_the_ripples(model: nn.Module) -> None:
    images, labels = sample_images(20)
    inputs = images.float() / 255
    masked = rippled(model)
    steady = expectation(lambda x: masked(x + 0.02 * torch.randn_like(x)), samples=16)

    def wrong(search: Callable[[Tensor], Tensor]) -> int:
        generator = torch.Generator().manual_seed(0)
        adversarial = pgd(search, inputs, labels, eps=EPS, steps=10, generator=generator)
        return int((masked(adversarial).argmax(1) != labels).sum())

    torch.manual_seed(0)
    assert wrong(masked) <= 2
    assert wrong(steady) >= 15


def test_ripples_are_reported_once(model: nn.Module) -> None:
    report = run(rippled(model), attacks=["pgd:steps=5", "fgsm", "bim"])
    assert [one.code for one in report.findings].count("gradient-noise") == 1


# 3. silent success


def test_a_success_that_is_passed_over() -> None:
    options: dict[str, Any] = {"attacks": ["bim:steps=10,step_size=0.12"], "eps": [0.4]}
    report = run(Shells().eval(), two_tones(20, 6), full_budget=True, **options)
    assert rate(report) == 1
    silent = raised(report)["silent-success"]
    assert silent.evidence["images"] == 16
    assert "best point" in silent.remedy
    assert "pgd" in silent.remedy
    assert "--full-budget" in silent.remedy
    # either remedy: a walk that ends at its success, an attack that keeps its best point
    early = run(Shells().eval(), two_tones(20, 6), **options)
    best = run(Shells().eval(), two_tones(20, 6), eps=[0.4], full_budget=True)
    for mended in (early, best):
        assert "silent-success" not in raised(mended)
        assert rate(mended) == 0


# 4. incomplete optimisation


@pytest.mark.parametrize("attack", ["pgd:steps=10,step_size=0.0005", "bim:steps=2,step_size=0.03"])
def test_too_few_steps(model: nn.Module, attack: str) -> None:
    report = run(model, attacks=[attack])
    assert raised(report).keys() == {"not-converged"}
    assert [one.code for one in report.findings].count("not-converged") == 1
    assert "--steps" in raised(report)["not-converged"].remedy
    assert "--restarts" in raised(report)["not-converged"].remedy


def test_short_steps_where_longer_ones_win_nothing_are_enough(model: nn.Module) -> None:
    assert raised(run(model, attacks=["pgd:steps=10,step_size=0.001"], eps=[0.02])) == {}


# 5. transfer failure


@pytest.mark.parametrize("full_budget", [False, True])
def test_a_copy_in_low_precision_that_does_not_transfer(full_budget: bool) -> None:
    options: dict[str, Any] = {"eps": [0.05], "full_budget": full_budget}
    report = run(TwoFaced(0.0).eval(), two_tones(20, 20), precision="bfloat16", **options)
    assert rate(report) == 1
    transfer = raised(report)["transfer-failure"]
    assert transfer.evidence["lost"] == transfer.evidence["fooled"] == 16
    assert "--precision float32" in transfer.remedy
    mended = run(TwoFaced(0.0).eval(), two_tones(20, 20), precision="float32", **options)
    assert raised(mended) == {}


@pytest.mark.slow
def test_a_stand_in_that_does_not_transfer() -> None:
    hiding = Hiding(Brightness(0.0), before=quantised)
    report = run(hiding, two_tones(20, 20), attacks=["strongest"], eps=[0.03], limit=2)
    assert "relaxed()" in raised(report)["transfer-failure"].message
    assert "bpda" in raised(report)["transfer-failure"].remedy


@pytest.mark.slow
def test_a_stand_in_with_the_scores_of_its_model_transfers(model: nn.Module) -> None:
    report = run(defended(model, BitDepth(bits=3)), sample_images(10), attacks=["strongest"])
    assert raised(report) == {}
    assert rate(report) < 0.1


def test_only_points_in_the_ball_of_their_own_image_count() -> None:
    images, labels = two_tones(4, 20)
    clean = Examples(images.float() / 255, labels, torch.tensor([7, 3, 9, 4]))
    config = EngineConfig(device="cpu", micro_batch=4, threads=1)
    engine = Engine(Brightness(0.0), ModelInfo(classes=2), config)
    (setting,) = make_settings(["pgd"], norm="linf", eps=[0.1])
    walk = Walk(engine, setting, clean)
    watched = engine.recorder(4, walk.on_scores(clean, "model"))
    watched(1 - clean.images)  # fools all four, but lies 0.16 away
    assert not walk.passed.any()
    walk = Walk(engine, setting.changed(eps=(0.2,)), clean)
    batch = clean.rows(torch.tensor([3, 2, 1]))
    near = engine.recorder(3, walk.on_scores(batch, "model"))
    near.score_rows(1 - batch.images[[1, 2]], torch.tensor([1, 2]))
    assert walk.passed.tolist() == [False, True, True, False]
    assert not walk.claimed.any()


def test_each_indicator_is_a_known_finding_and_the_page_names_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "findings.md").read_text(encoding="utf-8")
    table = page.partition("## Six ways")[2]
    for code in INDICATORS:
        severity = "blocking" if code == "no-gradient" else "warning"
        assert FINDINGS[code].severity == severity
        assert f"[`{code}`](#{code})" in table
