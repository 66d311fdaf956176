"""How many threads a training uses."""

import time
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from epsball.machine import hardware
from epsball.training import TrainSettings
from epsball.training.setup import threads as chosen
from epsball.training.setup.threads import fewest, suited_threads

IMAGES = torch.rand(20, 1, 8, 8)


@pytest.mark.parametrize(
    ("rates", "most", "expected"),
    [
        ({1: 18.0, 2: 21.4}, 2, 1),  # base-cnn in bfloat16, alone
        ({1: 18.0, 2: 1.1}, 2, 1),  # the same beside another training
        ({1: 10.0, 2: 19.0, 4: 36.0, 6: 47.0}, 6, 6),
        ({1: 10.0, 2: 19.0, 4: 36.0, 6: 37.0}, 6, 4),
        ({1: 10.0}, 1, 1),
    ],
)
def test_threads_are_doubled_as_long_as_that_helps(
    rates: dict[int, float], most: int, expected: int
) -> None:
    assert fewest(rates.__getitem__, most) == expected


@given(st.integers(1, 200), st.floats(0.0, 1.0))
def test_never_more_than_allowed_and_all_where_work_divides_evenly(
    most: int, serial: float
) -> None:
    amdahl = fewest(lambda threads: 1 / (serial + (1 - serial) / threads), most)
    assert 1 <= amdahl <= most
    assert fewest(float, most) == most


def test_the_model_and_the_random_state_stay_as_they_were(
    build: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen, "default_threads", lambda: 2)
    model = build()
    before, drawn = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    with suited_threads(model, IMAGES, TrainSettings(device="cpu")) as threads:
        assert torch.get_num_threads() == threads
        assert threads in {1, 2}
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_the_slower_number_is_not_taken(
    build: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen, "default_threads", lambda: 2)
    monkeypatch.setattr(hardware, "cpu_has", lambda _: False)
    clock, now = [0.0], torch.get_num_threads
    for slow, expected in ((1, 2), (2, 1)):

        def tick(slow: int = slow) -> float:
            clock[0] += 1.0 if now() == slow else 0.1
            return clock[0]

        monkeypatch.setattr(time, "perf_counter", tick)
        with suited_threads(build(), IMAGES, TrainSettings(device="cpu")) as threads:
            assert threads == expected


def test_a_model_that_takes_no_step_is_left_to_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Refusing(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            raise ValueError(len(inputs))

    monkeypatch.setattr(chosen, "default_threads", lambda: 2)
    with suited_threads(Refusing(), IMAGES, TrainSettings(device="cpu")) as threads:
        assert threads == 2
