"""The engine: counting, memory, randomness, batch sizes."""

import sys
from typing import Any

import pytest
import torch
from tests.evaluation.conftest import CLASSES, sample_images
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.engine import Engine, deterministic
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.engine.measuring import choose_micro_batch
from epsball.evaluation.engine.recorder import Recorder
from epsball.evaluation.engine.stopwatch import Stopwatch
from epsball.evaluation.settings import AttackSetting, make_settings
from epsball.types import ModelInfo

CONFIG = EngineConfig(device="cpu", micro_batch=16, threads=1)
INFO = ModelInfo(CLASSES)


def one(text: str, eps: float = 0.2, **options: Any) -> AttackSetting:
    return make_settings([text], norm="linf", eps=[eps], **options)[0]


def shard(count: int = 40) -> Examples:
    images, labels = sample_images(count)
    return Examples(images.float() / 255, labels, torch.arange(count))


@pytest.mark.parametrize(
    ("text", "asked", "forwards", "backwards"),
    [
        ("fgsm", {}, 1, 1),
        ("bim:steps=7", {}, 7, 7),
        ("pgd:steps=7", {}, 8, 7),
        ("pgd:steps=7", {"restarts": 3}, 3 * 8 + 3, 3 * 7),
        ("noise", {}, 0, 0),
    ],
)
def test_cost_is_counted(
    model: nn.Module, text: str, asked: dict[str, int], forwards: int, backwards: int
) -> None:
    (attacked,) = attack_examples(Engine(model, INFO, CONFIG), one(text, **asked), shard())
    assert set(attacked.forwards.tolist()) == {forwards}
    assert set(attacked.backwards.tolist()) == {backwards}


def test_fgsm_pays_one_gradient_for_all_eps(model: nn.Module) -> None:
    (setting,) = make_settings(["fgsm"], norm="linf", eps=[0.1, 0.2, 0.3])
    seen = Recorder(model, INFO, 40, "cpu")
    attacked = attack_examples(Engine(seen, INFO, CONFIG), setting, shard())
    assert int(seen.backwards.sum()) == 40
    assert len(attacked) == 3


@pytest.mark.parametrize("text", ["fgsm:reference=random", "bim", "pgd", "noise"])
def test_batch_size_hardly_matters(model: nn.Module, text: str) -> None:
    count, verdicts = 400, []
    for micro_batch in (7, 64, 400):
        engine = Engine(model, INFO, CONFIG.changed(micro_batch=micro_batch), seed=3)
        examples = shard(count)
        (attacked,) = attack_examples(engine, one(text), examples)
        verdicts.append(engine.scores(attacked.images).argmax(1) == examples.labels)
    differing = sum(int((verdicts[0] != other).sum()) for other in verdicts[1:])
    # the issue of batch sizes is worth a number: pytest -s shows it
    sys.stdout.write(f"{text}: {differing} of {2 * count} verdicts differ between batch sizes\n")
    assert differing <= 0.002 * 2 * count


def test_same_choices_same_bits(model: nn.Module) -> None:
    def run() -> Tensor:
        return attack_examples(Engine(model, INFO, CONFIG, seed=5), one("pgd"), shard())[0].images

    assert torch.equal(run(), run())
    other = attack_examples(Engine(model, INFO, CONFIG, seed=6), one("pgd"), shard())[0].images
    assert not torch.equal(run(), other)


def test_an_image_is_given_the_same_noise_alone(model: nn.Module) -> None:
    examples = shard()
    engine = Engine(model, INFO, CONFIG)
    (all_of_them,) = attack_examples(engine, one("noise"), examples)
    (last,) = attack_examples(engine, one("noise"), examples.rows(slice(-1, None)))
    assert torch.equal(all_of_them.images[-1:], last.images)


class Greedy(nn.Module):
    """Runs out of memory above a batch size."""

    def __init__(self, inner: nn.Module, most: int, error: BaseException) -> None:
        super().__init__()
        self.inner, self.most, self.error, self.tried = inner, most, error, list[int]()

    def forward(self, inputs: Tensor) -> Tensor:
        self.tried.append(len(inputs))
        if len(inputs) > self.most:
            raise self.error
        scores: Tensor = self.inner(inputs)
        return scores


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_full_memory_halves_the_batch(model: nn.Module, error: BaseException) -> None:
    greedy = Greedy(model, 5, error)
    engine = Engine(greedy, INFO, CONFIG)
    (attacked,) = attack_examples(engine, one("bim"), shard())
    assert engine.config.micro_batch == 4
    assert engine.halvings == 2
    (calm,) = attack_examples(
        Engine(model, INFO, CONFIG.changed(micro_batch=4)), one("bim"), shard()
    )
    assert torch.equal(attacked.images, calm.images)
    assert set(attacked.forwards.tolist()) == {10}


def test_not_even_one_image_fits(model: nn.Module) -> None:
    greedy = Greedy(model, 0, MemoryError())
    with pytest.raises(InvalidInput, match="one image at a time does not fit the memory of cpu"):
        Engine(greedy, INFO, CONFIG).scores(shard().images)


def test_other_errors_are_not_taken_for_a_full_memory(model: nn.Module) -> None:
    greedy = Greedy(model, 5, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        Engine(greedy, INFO, CONFIG).scores(shard().images)


def test_micro_batch_is_measured_within_what_fits(model: nn.Module) -> None:
    greedy = Greedy(model, 64, MemoryError())
    size, rate = choose_micro_batch(Stopwatch(greedy, shard().images, "cpu", seconds=1))
    assert 1 <= size <= 64
    assert rate > 0
    alone = Stopwatch(Greedy(model, 1, MemoryError()), shard().images, "cpu")
    assert choose_micro_batch(alone)[0] == 1


def test_low_precision_searches_and_verdicts_do_not(model: nn.Module) -> None:
    dtypes = []

    class Spying(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = model(inputs)
            dtypes.append(scores.dtype)
            return scores

    engine = Engine(Spying(), INFO, CONFIG.changed(precision="bfloat16"))
    (attacked,) = attack_examples(engine, one("bim"), shard())
    assert set(dtypes) == {torch.bfloat16}
    assert attacked.images.dtype == torch.float32
    dtypes.clear()
    engine.scores(attacked.images)
    assert set(dtypes) == {torch.float32}


def test_surroundings_are_put_back() -> None:
    threads, flag = torch.get_num_threads(), torch.backends.cudnn.deterministic
    inside = []

    def fail() -> None:
        with deterministic(threads + 1):
            inside.append(torch.get_num_threads())
            raise ValueError("out")

    with pytest.raises(ValueError, match="out"):
        fail()
    assert inside == [threads + 1]
    assert torch.get_num_threads() == threads
    assert torch.backends.cudnn.deterministic == flag
