"""A time budget: how it is divided, that it ends, and that the answer is one of a fair sample."""

import itertools
import math
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from epsball import audit
from epsball.errors import InvalidInput
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.deadline import OutOfTime, check_deadline
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.engine.kept import Kept
from epsball.evaluation.planning.budgeting import Clock, affordable, first_shard, foretold
from epsball.evaluation.records.shards import shards_of
from epsball.evaluation.settings import make_settings
from epsball.types import ModelInfo

GENERATOR = torch.Generator().manual_seed(0)
BODY = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).eval()
IMAGES = torch.rand(400, 1, 4, 4, generator=GENERATOR)
LABELS = BODY(IMAGES).argmax(1)


class Slow(nn.Module):
    """Takes so many seconds an image."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.body, self.seconds = BODY, seconds

    def forward(self, inputs: Tensor) -> Tensor:
        time.sleep(self.seconds * len(inputs))
        scores: Tensor = self.body(inputs)
        return scores


def test_every_attack_has_a_foretold_cost() -> None:
    def cost(text: str, eps: list[float | str]) -> int:
        return foretold(make_settings([text], norm="linf", eps=eps))

    assert cost("pgd:steps=40", [0.1, 0.2]) == 80
    assert cost("autoattack", [0.1]) == 100 * (1 + 18) + 1666
    assert cost("autoattack:steps=10,classes=2,queries=300", [0.1, 0.2]) == 2 * (50 + 100)
    assert cost("strongest", [0.1]) > 100


@given(st.integers(1, 3000), st.integers(1, 500), st.integers(1, 500))
def test_growing_shards_hold_every_image_once(count: int, size: int, first: int) -> None:
    shards = shards_of(np.arange(count), size, first)
    assert np.concatenate([shard.positions for shard in shards]).tolist() == list(range(count))
    sizes = [len(shard.positions) for shard in shards]
    assert max(sizes) <= size
    whole = sizes[:-1]
    assert all(b <= max(2, math.ceil(1.5 * a)) for a, b in itertools.pairwise(whole))
    assert sizes[0] <= first


def test_more_time_more_images() -> None:
    settings = make_settings(["pgd"], norm="linf", eps=[0.1])
    counts = [affordable(settings, 100.0, 1e-4, seconds) for seconds in (1, 10, 100)]
    assert counts == sorted(counts)
    assert counts[0] >= 1
    assert affordable(settings, 1e9, 0.01, 10) == 100  # a tenth of the time is for reading
    assert first_shard(settings, 1e-3, 1, 64, keeps=False) == 1
    assert first_shard(settings, 1e9, 60, 64, keeps=False) == 16
    assert first_shard(settings, 1e9, 60, 8, keeps=False) == 8


def test_a_long_attack_may_reach_as_many_easy_images_as_a_short_one() -> None:
    short, long = (
        make_settings([f"square:queries={n}"], norm="linf", eps=[0.1]) for n in (2000, 10**6)
    )
    assert affordable(long, 100.0, 1e-4, 20) == 100
    assert affordable(short, 100.0, 1e-4, 20) <= 100


def test_an_attack_alone_that_may_be_cut_short_begins_on_a_batch() -> None:
    def first(attacks: list[str], eps: list[float | str], *, keeps: bool) -> int:
        settings = make_settings(attacks, norm="linf", eps=eps)
        return first_shard(settings, 1e-3, 1, 8, keeps=keeps)

    assert first(["autoattack"], [0.1], keeps=True) == 8
    # an attack or an eps that comes later has to begin, too
    assert first(["fgsm", "autoattack"], [0.1], keeps=True) == 1
    assert first(["autoattack"], [0.1, 0.2], keeps=True) == 1
    assert first(["autoattack"], [0.1], keeps=False) == 1  # a gate counts finished images only


def test_the_clock_leaves_half_to_the_attacks_within_the_budget() -> None:
    def left(ago: float) -> float:
        return Clock(time.monotonic() - ago, 10).attacks - time.monotonic()

    assert left(0) == pytest.approx(8, abs=0.1)  # the rest is for checks and the report
    assert left(4) == pytest.approx(5, abs=0.1)
    assert left(7) == pytest.approx(4, abs=0.1)
    assert left(100) == pytest.approx(2, abs=0.1)
    slow = Clock(time.monotonic(), 10, drawing=5.0)  # on a machine that is as slow as this
    assert slow.attacks - time.monotonic() == pytest.approx(6, abs=0.1)
    assert slow.checks - time.monotonic() == pytest.approx(6.5, abs=0.1)
    assert Clock(0.0).attacks == Clock(0.0).checks == Clock(0.0).before == math.inf
    check_deadline(math.inf)
    with pytest.raises(OutOfTime):
        check_deadline(time.monotonic() - 1)


# the stages of strongest follow each other: one image takes seconds, however fast the model is
@pytest.mark.parametrize(
    ("attack", "budget"), [pytest.param("strongest", "9s", marks=pytest.mark.slow), ("pgd", "3s")]
)
def test_an_audit_ends_with_its_budget_and_answers_for_a_fair_sample(
    attack: str, budget: str, tmp_path: Path
) -> None:
    order = LABELS.argsort(stable=True)
    options = {"attacks": [attack], "eps": [0.02], "out": tmp_path / "run"}
    data = (IMAGES[order], LABELS[order])
    report = audit(Slow(0.0003).eval(), data, budget=budget, **options)  # type: ignore[arg-type]  # options of audit
    n = report.summary["clean"]["n"]
    assert report.headline is not None
    assert 0 < n < 400
    assert not report.summary["complete"]
    labels = report.records["label"].to_numpy()
    shares = np.bincount(LABELS.numpy(), minlength=4) * n / 400
    assert np.abs(np.bincount(labels, minlength=4) - shares).max() <= 1
    more = audit(Slow(0.0).eval(), data, budget=budget, **(options | {"out": None}))  # type: ignore[arg-type]  # likewise
    assert more.summary["clean"]["n"] >= n  # on a busy machine both may end after the first images


def test_what_an_attack_has_reached_when_the_time_is_over_counts(tmp_path: Path) -> None:
    """An image that nothing fools takes all of the time."""

    class Stubborn(Slow):
        def forward(self, inputs: Tensor) -> Tensor:
            time.sleep(self.seconds * len(inputs))
            scores: Tensor = self.body(inputs)
            never = torch.nn.functional.one_hot(self.body(IMAGES[:1]).argmax(1), 4) * 1e3
            near = (inputs - IMAGES[:1]).flatten(1).abs().amax(1) < 0.3
            return torch.where(near[:, None], scores * 0 + never, scores)

    few = (IMAGES[:4], LABELS[:4])
    options = {"attacks": "pgd:steps=2000", "eps": 0.25, "budget": 3.0, "out": tmp_path / "run"}
    report = audit(Stubborn(0.005).eval(), few, **options)  # type: ignore[arg-type]  # options of audit
    assert "attacks-cut-short" in {one.code for one in report.findings}
    assert not report.summary["complete"]
    rows = report.records
    assert rows["index"].n_unique() == report.summary["clean"]["n"]
    kept = rows.filter(rows["index"] == 0)
    assert kept["prediction"].to_list() == [int(LABELS[0])]


def test_a_run_that_was_cut_short_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, few = Slow(0.0).eval(), (IMAGES[:60], LABELS[:60])
    options = {"attacks": "pgd:steps=20", "eps": 0.02, "budget": 60.0}
    whole = audit(model, few, **options, out=tmp_path / "whole")  # type: ignore[arg-type]  # options of audit
    calls = []

    def late(deadline: float) -> None:
        calls.append(deadline)
        if len(calls) > 30 and deadline < math.inf:
            raise OutOfTime("over")

    with monkeypatch.context() as patch:
        patch.setattr("epsball.evaluation.engine.recorder.check_deadline", late)
        part = audit(model, few, **options, out=tmp_path / "run")  # type: ignore[arg-type]  # likewise
    assert 0 < part.summary["clean"]["n"] <= 60
    assert not part.summary["complete"]
    parts = list((tmp_path / "run" / "records").glob("*.part.parquet"))
    assert len(parts) == 1
    upper = whole.summary["worst_case"][0]["robust_accuracy"]
    assert upper is not None
    again = audit(model, few, **options, out=tmp_path / "run")  # type: ignore[arg-type]  # likewise
    assert again.summary["complete"]
    assert not list((tmp_path / "run" / "records").glob("*.part.*"))
    assert again.records.equals(whole.records)


def test_kept_points_are_the_nearest_adversarial_ones() -> None:
    """Of a linear model, with every point scored twice, in the ball and out of it."""
    torch.manual_seed(0)
    images, labels = IMAGES[:8], LABELS[:8]
    config = EngineConfig(device="cpu", micro_batch=8, threads=1)
    engine = Engine(BODY, ModelInfo(classes=4), config)
    (setting,) = make_settings(["pgd"], norm="linf", eps=[0.1])
    batch = Examples(images, labels, torch.arange(8))
    kept = Kept(engine, setting, batch)
    for length in (0.4, 0.05, 0.2, 0.0):
        points = (images + length * (torch.rand(images.shape) - 0.5).sign()).clamp(0, 1)
        rows = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 7])
        kept(points[rows], rows, BODY(points[rows]))
    outside = images + 2.0
    kept(outside, torch.arange(8), 1 - BODY(outside))
    result = kept.within(0.1)
    moved = (result != images).flatten(1).any(1)
    assert torch.equal(
        BODY(result[moved]).argmax(1) == labels[moved], torch.zeros(int(moved.sum())) > 0
    )
    assert (result - images).abs().amax() <= 0.1 + 1e-6
    assert torch.equal(kept.within(1.0) != images, kept.nearest != images)
    fooled = kept.sizes.isfinite()
    assert bool(fooled.any())
    assert ((kept.nearest - images).abs().flatten(1).amax(1)[fooled] <= 0.4 + 1e-6).all()


def test_a_budget_for_no_image_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match="--budget 0.01 is too short for pgd on the first 1 image"
    ):
        audit(Slow(0.02).eval(), (IMAGES, LABELS), attacks="pgd", eps=0.02, budget=0.01)
