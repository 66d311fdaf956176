"""What is measured before a run: batch, memory format, threads; images that are read once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epsball.data.in_memory import in_memory_dataset
from epsball.evaluation.engine import measuring
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.measuring import choose_config, choose_micro_batch
from epsball.evaluation.engine.stopwatch import Stopwatch
from epsball.evaluation.inputs import decoded_once
from epsball.types import Dataset, ModelInfo, Pixels, Positions

IMAGES = torch.rand((8, 3, 8, 8), generator=torch.Generator().manual_seed(0))
CONFIG = EngineConfig(device="cpu", micro_batch=1, threads=1)


class Timed(Stopwatch):
    """A stopwatch with made-up rates, by batch size."""

    rates: dict[int, float]
    default = 0.0

    def rate(self, size: int) -> float:
        self.tried = [*getattr(self, "tried", []), size]
        return self.rates.get(size, self.default)


def timed(**rates: float) -> Timed:
    watch = Timed(nn.Flatten(), IMAGES, "cpu")
    watch.rates = {int(size[1:]): rate for size, rate in rates.items()}
    return watch


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({"s32": 10, "s64": 20, "s128": 30, "s256": 30.5}, 128),  # 3 % more are not enough
        ({"s32": 10, "s64": 10.1, "s16": 12, "s8": 15, "s4": 9}, 8),
        ({"s32": 10, "s64": 9, "s16": 9.9, "s8": 5}, 16),  # as fast, and smaller
        ({"s32": 0, "s16": 0, "s8": 7, "s4": 6}, 8),  # more do not fit the memory
        ({}, 1),  # nothing fits
    ],
)
def test_the_fastest_batch_is_taken(rates: dict[str, float], chosen: int) -> None:
    assert choose_micro_batch(timed(**rates))[0] == chosen


def test_no_larger_batch_than_there_are_images() -> None:
    watch = timed(s32=10, s64=20, s128=30)
    assert choose_micro_batch(watch, most=20) == (32, 10)
    assert max(watch.tried) == 32


def test_time_is_limited_by_what_the_attacks_will_take() -> None:
    short = Stopwatch(nn.Flatten(), IMAGES, "cpu", gradients=1)
    choose_micro_batch(short)
    assert short.seconds == pytest.approx(0.05)
    long = Stopwatch(nn.Flatten(), IMAGES, "cpu", gradients=10**12)
    long.rate(32)
    assert long.seconds == 4


def choose(monkeypatch: pytest.MonkeyPatch, model: nn.Module, faster: float) -> EngineConfig:
    def rate(watch: Stopwatch, size: int) -> float:
        return (faster if watch.channels_last else 1.0) * min(size, 16)

    monkeypatch.setattr(Stopwatch, "rate", rate)
    options = {"requested": "float32", "micro_batch": None, "most": 64, "gradients": 100}
    return choose_config(model, IMAGES, CONFIG, **options)[0]  # type: ignore[arg-type]  # of several types


class Pooled(nn.Sequential):
    """A network that takes either memory format."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.append(nn.Linear(36, 5))


class Viewing(nn.Module):
    """A network that looks at its images as if they were contiguous."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(144, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.linear(self.conv(inputs).view(len(inputs), -1))
        return scores


class Strided(nn.Module):
    """A network whose scores depend on the memory format."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)[:, :5] * inputs.stride(1)


def test_channels_last_is_taken_where_it_is_faster_and_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose(monkeypatch, Pooled().eval(), 1.2).channels_last
    assert not choose(monkeypatch, Pooled().eval(), 1.04).channels_last
    assert not choose(monkeypatch, Viewing().eval(), 1.2).channels_last
    assert not choose(monkeypatch, Strided().eval(), 1.2).channels_last


def test_the_model_is_given_the_memory_format_of_the_config() -> None:
    formats = list[bool]()

    class Looking(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            formats.append(inputs.is_contiguous(memory_format=torch.channels_last))
            return inputs.mean((2, 3))

    engine = Engine(Looking(), ModelInfo(3), CONFIG.changed(channels_last=True, micro_batch=4))
    engine.scores(IMAGES)
    engine.recorder(8)(IMAGES)
    assert formats == [True] * 3
    formats.clear()
    engine.changed(channels_last=False).scores(IMAGES)
    assert not any(formats)


def test_fewer_threads_are_taken_where_they_are_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = {4: 1.0, 2: 1.0, 1: 0.8}
    threads = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(Stopwatch, "rate", lambda _, size: size * speed[threads[-1]])
    options = {"requested": "float32", "micro_batch": None, "most": 1, "gradients": 1}
    config, _ = choose_config(Pooled(), IMAGES, CONFIG.changed(threads=4), **options)  # type: ignore[arg-type]  # of several types
    assert config.threads == 2
    assert threads[-1] == 4


def test_an_image_is_decoded_once(tmp_path: Path) -> None:
    reads = list[int]()
    pixels = np.arange(10, dtype=np.uint8)[:, None, None, None].repeat(4, axis=2)
    stored = in_memory_dataset(str(tmp_path), pixels, np.zeros(10, dtype=np.int64), ("one",))

    def read(positions: Positions) -> Pixels:
        reads.extend(positions.tolist())
        return stored.read(positions)

    counted = Dataset(stored.name, stored.labels, stored.class_names, stored.shape, read)
    once = decoded_once(counted)
    for chosen in ([3, 1, 3], [1, 2], [9, 3, 0], []):
        positions = np.array(chosen, dtype=np.int64)
        assert np.array_equal(once.read(positions), stored.read(positions))
    assert sorted(reads) == [0, 1, 2, 3, 9]
    reads.clear()
    narrow = decoded_once(counted, limit=2 * pixels[0].nbytes)  # memory for two
    for _ in range(2):
        assert np.array_equal(narrow.read(np.arange(4)), stored.read(np.arange(4)))
    assert sorted(reads) == [0, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(("seconds", "models"), [(0.0, 1), (None, 2), (60.0, 2)])
def test_a_time_limit_leaves_out_what_it_does_not_allow(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None, models: int
) -> None:
    measured: list[int] = []

    def rate(watch: Stopwatch, size: int) -> float:
        measured.append(id(watch.model))
        return 100.0 * min(size, 16) if isinstance(watch.model, Pooled) else 1.0 * min(size, 16)

    monkeypatch.setattr(Stopwatch, "rate", rate)
    monkeypatch.setattr(measuring, "checked_surrogate", lambda *_: Pooled())
    monkeypatch.setattr(measuring, "copy_for", lambda _: "bfloat16")
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    config, _ = choose_config(
        network,
        IMAGES,
        CONFIG,
        requested="auto",
        micro_batch=None,
        most=64,
        gradients=100,
        seconds=seconds,
    )
    assert len(set(measured)) == models
    assert config.precision == ("float32" if models == 1 else "bfloat16")
