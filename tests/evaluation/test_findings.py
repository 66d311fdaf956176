"""Every finding is raised by the model or the attack that deserves it, and by no healthy one."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tests.evaluation.about_data import ABOUT_DATA
from tests.evaluation.conftest import sample_images
from tests.evaluation.masked import INDICATORS
from torch import Tensor, nn

import epsball.evaluation.settings as settings_module
from epsball import audit
from epsball.attacks import ATTACKS, AttackSpec, fgsm, pgd
from epsball.evaluation.checks.findings import FINDINGS
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.planning.budgeting import Clock
from epsball.evaluation.planning.options import check_effect
from epsball.evaluation.result import Audit
from epsball.evaluation.settings import make_settings

DECLARED: set[str] = set()  # by a decorator of a test in this file
RAISED: set[str] = set()  # in the test that runs


def raises(*expected: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare which findings a test raises, and fail the test where it raises them no longer."""
    DECLARED.update(expected)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run_test(**fixtures: Any) -> None:
            RAISED.clear()
            test(**fixtures)
            assert set(expected) <= RAISED

        return run_test

    return decorate


def codes(found: Audit) -> set[str]:
    raised = {finding.code for finding in found.findings}
    RAISED.update(raised)
    return raised


def run(model: object, data: object = None, **options: Any) -> Audit:
    options = {"attacks": ["fgsm", "pgd", "noise"], "eps": [0.1, 0.2], "steps": 10} | options
    options = {"full_budget": True} | options
    return audit(model, data or sample_images(60), **options)  # type: ignore[arg-type]  # any classifier


class Around(nn.Module):
    """A model with something done before and after."""

    def __init__(
        self,
        inner: nn.Module,
        before: Callable[[Tensor], Tensor] = lambda x: x,
        after: Callable[[Tensor], Tensor] = lambda z: z,
    ) -> None:
        super().__init__()
        self.inner, self.before, self.after = inner, before, after

    def forward(self, inputs: Tensor) -> Tensor:
        return self.after(self.inner(self.before(inputs)))


def test_a_healthy_model_raises_nothing_serious(model: nn.Module) -> None:
    report = run(model)
    serious = [f for f in report.findings if f.severity != "info"]
    assert serious == []
    assert report.headline is not None


@raises("train-mode")
def test_train_mode_blocks_and_touches_nothing(model: nn.Module) -> None:
    model.train()
    try:
        before = {k: v.clone() for k, v in model.state_dict().items()}
        report = run(model)
        assert codes(report) == {"train-mode"}
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert model.training
    finally:
        model.eval()
    assert report.headline is None
    assert report.blocked
    assert all(row["robust_accuracy"] is None for row in report.summary["results"])
    assert len(report.summary["results"]) == 3 * 2
    assert report.summary["worst_case"] == []


@raises("train-mode")
def test_one_part_in_train_mode_is_enough(model: nn.Module) -> None:
    batch_norm = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    batch_norm.train()
    try:
        assert "train-mode" in codes(run(model))
    finally:
        batch_norm.eval()


@raises("put-in-eval")
def test_a_class_is_put_into_eval_mode(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def Net():\n"
        "    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36), nn.Linear(36, 5))\n"
    )
    spec = f"{tmp_path / 'net.py'}:Net"
    report = audit(spec, sample_images(30), attacks=["fgsm"], eps=[0.1])
    assert "put-in-eval" in codes(report)
    assert "train-mode" not in codes(report)


@pytest.mark.parametrize("shift", [-0.5, 0.5])
@raises("inputs-out-of-range")
def test_inputs_out_of_range(model: nn.Module, shift: float) -> None:
    images, labels = sample_images(60)
    report = run(model, (images.float() / 255 + shift, labels))
    assert "inputs-out-of-range" in codes(report)
    assert report.blocked


@raises("batch-dependent")
def test_batch_dependent(model: nn.Module) -> None:
    report = run(Around(model, after=lambda z: z - z.mean(0)).eval())
    assert "batch-dependent" in codes(report)
    assert report.blocked


@raises("state-moved")
def test_state_moved(model: nn.Module) -> None:
    class Counts(nn.Module):
        asked: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.net = model
            self.register_buffer("asked", torch.zeros(()))

        def forward(self, inputs: Tensor) -> Tensor:
            self.asked += 1
            scores: Tensor = self.net(inputs)
            return scores

    counting = Counts().eval()
    report = run(counting)
    assert "state-moved" in codes(report)
    assert not report.blocked
    assert float(counting.asked) == 0
    assert "state-moved" not in codes(run(model))


@raises("random-forward")
def test_random_forward(model: nn.Module) -> None:
    noisy = Around(model, before=lambda x: x + 0.05 * torch.randn_like(x)).eval()
    report = run(noisy)
    assert "random-forward" in codes(report)
    assert not report.blocked


@raises("probabilities-not-logits", "log-probabilities")
def test_probabilities_and_their_logarithm(model: nn.Module) -> None:
    plain = run(model)
    soft = run(Around(model, after=lambda z: z.softmax(1)).eval())
    logs = run(Around(model, after=lambda z: z.log_softmax(1)).eval())
    assert "probabilities-not-logits" in codes(soft)
    assert "log-probabilities" in codes(logs)
    for handled in (soft, logs):
        for ours, theirs in zip(plain.summary["results"], handled.summary["results"], strict=True):
            assert theirs["robust_accuracy"] <= ours["robust_accuracy"] + 1 / 60
            assert ours["confidence"] == pytest.approx(theirs["confidence"], abs=0.02)


@raises("bounded-scores")
def test_sigmoids(model: nn.Module) -> None:
    assert "bounded-scores" in codes(run(Around(model, after=lambda z: z.sigmoid()).eval()))


@raises("non-finite-scores")
def test_scores_that_overflow_only_under_attack(model: nn.Module) -> None:
    images, labels = sample_images(60)

    def fragile(x: Tensor) -> Tensor:
        flat = x.flatten(1)
        # no clean image is as bright anywhere, and no noise as dark on the whole
        odd = (flat.amax(1) > 0.95) & (flat.mean(1) < 0.42)
        return torch.where(odd.view(-1, 1, 1, 1), x * float("inf"), x)

    assert images.max() < 0.9 * 255
    report = run(Around(model, before=fragile).eval(), (images, labels), eps=[0.3])
    assert "non-finite-scores" in codes(report)
    assert report.blocked


@raises("accuracy-mismatch")
def test_records_that_do_not_come_from_this_model(
    model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"attacks": ["fgsm"], "eps": [0.2], "out": tmp_path / "run"}
    run(model, **options)
    (file,) = (tmp_path / "run" / "records").glob("*.parquet")
    records = pl.read_parquet(file)
    records.with_columns(safe=~pl.col("safe")).write_parquet(file)
    assert "accuracy-mismatch" in codes(run(model, **options))


@raises("train-mode")
def test_a_net_in_train_mode_behind_a_function(model: nn.Module) -> None:
    model.train()
    try:
        assert codes(run(lambda x: model(x))) == {"train-mode"}
        assert codes(run(model.forward)) == {"train-mode"}
    finally:
        model.eval()


def test_a_model_that_works_in_place_changes_nothing_of_ours(model: nn.Module) -> None:
    def in_place(inputs: Tensor) -> Tensor:
        scores: Tensor = model(inputs.mul_(0.9))
        return scores

    calm = run(lambda x: model(0.9 * x))
    wild = run(in_place)
    assert wild.records.drop("forwards", "backwards").equals(
        calm.records.drop("forwards", "backwards")
    )


def test_single_images_at_a_time_raise_nothing_false(model: nn.Module) -> None:
    assert [f for f in run(model, micro_batch=1).findings if f.severity != "info"] == []


@raises("near-chance")
def test_near_chance(model: nn.Module) -> None:
    images, labels = sample_images(60)
    guessed = labels[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
    assert "near-chance" in codes(run(model, (images, guessed)))


@raises("few-classes")
def test_few_classes() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).eval()
    images, labels = sample_images(30)
    assert "few-classes" in codes(run(flat, (images, labels % 3)))


@raises("no-gradient")
def test_no_gradient_behind_rounding(model: nn.Module) -> None:
    report = run(Around(model, before=lambda x: (x * 8).round() / 8).eval())
    assert "no-gradient" in codes(report)
    assert report.blocked


@raises("zero-gradient")
def test_zero_gradient_of_a_saturated_softmax(model: nn.Module) -> None:
    report = run(Around(model, after=lambda z: 1e4 * z).eval())
    assert "zero-gradient" in codes(report)
    assert not report.blocked


@raises("constant-gradient")
def test_constant_gradient() -> None:
    class Fixed(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            total = inputs.flatten(1).sum(1)
            return torch.stack([total - total.detach(), torch.ones_like(total)] * 2, 1)

    images, labels = sample_images(20)
    assert "constant-gradient" in codes(run(Fixed().eval(), (images, labels * 0)))


@raises("non-finite-scores")
def test_non_finite_scores(model: nn.Module) -> None:
    def overflow(images: Tensor) -> Tensor:
        rare = images[:, :1, :1, :1] > 0.7  # only the images of class 0
        return torch.where(rare, images / 0, images)

    images, labels = sample_images(60)
    order = torch.argsort((labels == 0).int(), stable=True)  # the first are finite
    report = run(Around(model, before=overflow).eval(), (images[order], labels[order]))
    assert "non-finite-scores" in codes(report)
    assert report.blocked


@raises("low-precision-search", "below-8-bit")
def test_low_precision_and_less_than_a_level(model: nn.Module) -> None:
    report = run(model, eps=[0.5 / 255], precision="bfloat16")
    assert {"low-precision-search", "below-8-bit"} <= codes(report)


@raises("option-without-effect")
def test_option_without_effect(model: nn.Module) -> None:
    report = run(model, attacks=["square:queries=20"], limit=8, steps=3)
    assert "option-without-effect" in codes(report)


@pytest.mark.parametrize(
    ("attack", "given", "unused"),
    [
        ("pgd:steps=2", {"steps": 3, "queries": 9}, ["steps 3", "queries 9"]),
        ("fgsm", {"restarts": 2}, ["restarts 2"]),
        ("pgd", {"steps": 3, "restarts": 2}, []),
        ("square", {"queries": 20}, []),
    ],
)
def test_options_that_no_attack_uses(attack: str, given: dict[str, int], unused: list[str]) -> None:
    counts: dict[str, Any] = {"steps": None, "queries": None, "restarts": 1} | given
    settings = make_settings([attack], norm="linf", eps=[0.1], **counts)
    reported = check_effect(settings, **counts)
    assert [one.evidence["options"] for one in reported] == ([unused] if unused else [])


@raises("checks-cut-short")
def test_checks_end_with_the_time_budget(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "checks", 0.0)
    report = run(model, budget=60.0, limit=20)
    assert "checks-cut-short" in codes(report)
    assert report.headline is not None


@raises("attacks-cut-short")
def test_attacks_end_with_the_time_budget(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def late(deadline: float) -> None:
        calls.append(deadline)
        if len(calls) > 100 and deadline < math.inf:
            raise OutOfTime("over")

    monkeypatch.setattr("epsball.evaluation.engine.recorder.check_deadline", late)
    report = run(model, budget=60.0, limit=20, attacks=["pgd:steps=400"])
    assert "attacks-cut-short" in codes(report)
    assert report.headline is not None


@raises("lost-at-8-bits")
def test_lost_at_8_bits() -> None:
    class Narrow(nn.Module):
        """Two classes whose border lies half a level below the images."""

        def forward(self, inputs: Tensor) -> Tensor:
            above = inputs.flatten(1).mean(1) - 99.5 / 255
            return 100 * torch.stack([above, -above], 1)

    images = torch.full((40, 1, 4, 4), 100, dtype=torch.uint8)
    images[20:] = 90
    labels = (torch.arange(40) >= 20).long()
    report = run(Narrow().eval(), (images, labels), eps=[0.9 / 255], attacks=["fgsm"])
    assert "lost-at-8-bits" in codes(report)
    assert report.summary["results"][0]["robust_accuracy"] == 0.5
    assert report.summary["results"][0]["survives_8bit"] == 0.0


# attacks that are wrong in one way each


@pytest.fixture
def broken_attack(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a wrong attack into the table in place of a right one."""

    def replace_attack(name: str, attack: Callable[..., Tensor]) -> None:
        def knobs_of_the_right_one(model: Any, inputs: Tensor, labels: Tensor, **k: Any) -> Tensor:
            return attack(model, inputs, labels, **k)

        spec = ATTACKS[name]

        class Broken(AttackSpec):
            @property
            def knobs(self) -> dict[str, Any]:
                return dict(spec.knobs)

        fields = {f: getattr(spec, f) for f in spec.__dataclass_fields__}
        fields |= {"attack": knobs_of_the_right_one, "sweep": None}
        monkeypatch.setattr(settings_module, "ATTACKS", {**ATTACKS, name: Broken(**fields)})

    return replace_attack


@raises("outside-ball")
def test_outside_the_ball(model: nn.Module, broken_attack: Callable[..., None]) -> None:
    def too_far(model: Any, inputs: Tensor, labels: Tensor, **k: Any) -> Tensor:
        return inputs + 1.01 * (fgsm(model, inputs, labels, **k) - inputs)

    broken_attack("fgsm", too_far)
    report = run(model, attacks=["fgsm"])
    assert "outside-ball" in codes(report)
    assert report.blocked


@raises("outside-box")
def test_outside_the_box(model: nn.Module, broken_attack: Callable[..., None]) -> None:
    broken_attack("fgsm", lambda m, x, y, **k: fgsm(m, x, y, **k | {"clip": False}))
    report = run(model, attacks=["fgsm"])
    assert "outside-box" in codes(report)
    assert report.blocked


@raises("unclipped")
def test_unclipped_on_purpose_is_no_fault(model: nn.Module) -> None:
    report = run(model, attacks=["fgsm:clip=false"])
    assert "unclipped" in codes(report)
    assert not report.blocked


@raises("eps-zero-differs")
def test_eps_zero_differs(model: nn.Module, broken_attack: Callable[..., None]) -> None:
    def restless(model: Any, inputs: Tensor, labels: Tensor, **k: Any) -> Tensor:
        return fgsm(model, inputs, labels, **k | {"eps": max(k["eps"], 1e-4)})

    broken_attack("fgsm", restless)
    report = run(model, attacks=["fgsm"])
    assert "eps-zero-differs" in codes(report)
    assert report.blocked


@raises("larger-eps-helps")
def test_larger_eps_helps(model: nn.Module, broken_attack: Callable[..., None]) -> None:
    def shy(model: Any, inputs: Tensor, labels: Tensor, **k: Any) -> Tensor:
        return inputs if k["eps"] > 0.25 else fgsm(model, inputs, labels, **k)

    broken_attack("fgsm", shy)
    assert "larger-eps-helps" in codes(run(model, attacks=["fgsm"], eps=[0.2, 0.3]))


@raises("more-steps-help")
def test_more_steps_help(model: nn.Module, broken_attack: Callable[..., None]) -> None:
    def tiring(model: Any, inputs: Tensor, labels: Tensor, **k: Any) -> Tensor:
        return inputs if k["steps"] > 15 else pgd(model, inputs, labels, **k)

    broken_attack("pgd", tiring)
    assert "more-steps-help" in codes(run(model, attacks=["pgd"], eps=[0.3]))
    pair = run(model, attacks=["pgd:steps=10", "pgd:steps=20"], eps=[0.3])
    assert "more-steps-help" in codes(pair)


@raises("one-step-stronger")
def test_one_step_stronger(model: nn.Module, broken_attack: Callable[..., None]) -> None:
    broken_attack("pgd", lambda m, x, y, **k: x.clone())
    report = run(model, eps=[0.3])
    assert {"one-step-stronger", "black-box-stronger"} & codes(report) >= {"one-step-stronger"}


@raises("not-converged")
def test_not_converged(model: nn.Module) -> None:
    report = run(model, attacks=["bim:steps=5,step_size=0.01"], eps=[0.3])
    assert "not-converged" in codes(report)


@raises("black-box-stronger", "noise-as-strong")
def test_noise_as_strong_and_stronger(model: nn.Module, broken_attack: Callable[..., None]) -> None:
    broken_attack("pgd", lambda m, x, y, **k: x.clone())
    assert "black-box-stronger" in codes(run(model, attacks=["pgd", "noise"], eps=[0.45]))

    def as_noise(model: Any, inputs: Tensor, labels: Tensor, **k: Any) -> Tensor:
        kept = {name: k[name] for name in ("eps", "norm", "generator")}
        return ATTACKS["noise"].attack(model, inputs, labels, **kept)

    broken_attack("pgd", as_noise)
    assert "noise-as-strong" in codes(run(model, attacks=["pgd", "noise"], eps=[0.45]))


@raises("loss-not-rising")
def test_loss_not_rising(model: nn.Module, broken_attack: Callable[..., None]) -> None:
    def downhill(model: Any, inputs: Tensor, labels: Tensor, **k: Any) -> Tensor:
        point = inputs.clone()
        for _ in range(3):
            point.requires_grad_()
            with torch.enable_grad():
                loss = nn.functional.cross_entropy(model(point), labels, reduction="sum")
            (slope,) = torch.autograd.grad(loss, point)
            point = (point.detach() - 0.1 * k["eps"] * slope.sign()).clamp(0, 1)
        return point

    broken_attack("pgd", downhill)
    assert "loss-not-rising" in codes(run(model, attacks=["pgd"]))


@raises("accuracy-mismatch")
def test_accuracy_mismatch(model: nn.Module) -> None:
    class Ordered(nn.Module):
        """Answers otherwise when a batch comes with its bright images last."""

        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = model(inputs)
            return scores.roll(int(inputs[0].sum() < inputs[-1].sum() - 1), 1)

    images, labels = sample_images(60)
    order = images.flatten(1).sum(1).argsort(descending=True)
    report = run(Ordered().eval(), (images[order], labels[order]), attacks=["pgd"], eps=[0.001])
    assert "accuracy-mismatch" in codes(report)
    assert report.blocked


def test_what_fools_only_within_a_smaller_ball_is_no_mismatch(
    model: nn.Module, broken_attack: Callable[..., None]
) -> None:
    whole = ATTACKS["pgd"].attack

    def near(model: Any, inputs: Tensor, labels: Tensor, **k: Any) -> Tensor:
        return whole(model, inputs, labels, **k) if k["eps"] < 0.3 else inputs.clone()

    broken_attack("pgd", near)
    report = run(model, attacks=["pgd"], eps=[0.2, 0.4], full_budget=False)
    rates = [result["robust_accuracy"] for result in report.summary["results"]]
    assert rates[0] == rates[1] < 0.5
    assert "accuracy-mismatch" not in codes(report)


def test_every_code_is_raised_by_a_test_and_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "findings.md").read_text(encoding="utf-8")
    missing = [code for code in FINDINGS if f"## {code}\n" not in page]
    assert missing == []
    control = {"verdict-too-high", "control-without-gradient"}  # tests/evaluation/test_belief.py
    elsewhere = INDICATORS | ABOUT_DATA | control  # those have test files of their own
    assert set(FINDINGS) == DECLARED | elsewhere
