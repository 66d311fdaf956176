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
from epsball.evaluation.engine.deadline import OutOfTime, check_deadline
from epsball.evaluation.planning.budgeting import Clock, affordable, first_shard, foretold
from epsball.evaluation.records.shards import shards_of
from epsball.evaluation.settings import make_settings

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
    assert first_shard(settings, 1e-3, 1, 64) == 1
    assert first_shard(settings, 1e9, 60, 64) == 16
    assert first_shard(settings, 1e9, 60, 8) == 8


def test_the_clock_leaves_half_to_the_attacks() -> None:
    late = Clock(time.monotonic() - 100, 10)
    assert 4.5 < late.attacks - time.monotonic() <= 5
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
    asked = {"attacks": [attack], "eps": [0.02], "out": tmp_path / "run"}
    data = (IMAGES[order], LABELS[order])
    found = audit(Slow(0.0003).eval(), data, budget=budget, **asked)  # type: ignore[arg-type]  # options of audit
    n = found.summary["clean"]["n"]
    assert found.headline is not None
    assert 0 < n < 400
    assert not found.summary["complete"]
    labels = found.records["label"].to_numpy()
    shares = np.bincount(LABELS.numpy(), minlength=4) * n / 400
    assert np.abs(np.bincount(labels, minlength=4) - shares).max() <= 1
    more = audit(Slow(0.0).eval(), data, budget=budget, **(asked | {"out": None}))  # type: ignore[arg-type]  # likewise
    assert more.summary["clean"]["n"] > n


def test_a_budget_for_no_image_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match="--budget 0.2 is too short for pgd on the first 1 image"
    ):
        audit(Slow(0.02).eval(), (IMAGES, LABELS), attacks="pgd", eps=0.02, budget=0.2)
