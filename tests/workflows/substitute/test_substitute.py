"""Learning a substitute: exact budgets, the augmentation's steps, and what is refused."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from epsball.data import load_data
from epsball.errors import BrokenContract, EpsballError, InvalidInput
from epsball.oracles import LabelOnly
from epsball.oracles.protocol import Ledger
from epsball.workflows.substitute.learning import Questions, SubstituteSettings, learn_substitute
from epsball.workflows.substitute.opening import headers_of, local_oracle
from epsball.workflows.substitute.run import substitute


class Plane:
    """An oracle that says on which side of a plane an image lies, and remembers the images."""

    def __init__(self) -> None:
        self.asked: list[Tensor] = []

    @property
    def ledger(self) -> Ledger:
        return Ledger(sum(len(one) for one in self.asked))

    def __call__(self, images: Tensor) -> Tensor:
        self.asked.append(images)
        return (images.flatten(1) @ WEIGHT > 0).long()


WEIGHT = torch.tensor([1.0, -1.0, 0.5, -0.5, 0.0, 0.0])


def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 2))


def some(n: int) -> Tensor:
    pixels = torch.randint(256, (n, 1, 2, 3), generator=torch.Generator().manual_seed(0))
    return pixels / 255


def test_rounds_in_between_train_on_the_share_that_is_new() -> None:
    trained = []

    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = build()

        def forward(self, images: Tensor) -> Tensor:
            if self.training:
                trained.append(len(images))
            scores: Tensor = self.body(images)
            return scores

    settings = SubstituteSettings(queries=32, epochs=4, doublings=1, reservoir=8)
    learn_substitute(Plane(), some(8), Counted, settings, classes=2)
    # four epochs of the first and the last round; of 16 half is new, of 24 a third
    assert sum(trained) == 4 * 8 + 2 * 16 + 2 * 24 + 4 * 32


@pytest.mark.parametrize("queries", [20, 21, 40, 200, 333])
@pytest.mark.parametrize("questions", get_args(Questions))
def test_the_budget_is_met_exactly(queries: int, questions: Questions) -> None:
    oracle = Plane()
    settings = SubstituteSettings(queries=queries, questions=questions, epochs=2, reservoir=50)
    learned = learn_substitute(oracle, some(20), build, settings, classes=2)
    assert oracle.ledger.paid == len(learned.images) == len(learned.labels) == queries
    assert learned.rounds[-1].queries == queries
    assert torch.equal(torch.cat(oracle.asked), learned.images)
    grey = learned.images * 255
    assert torch.allclose(grey, grey.round(), atol=1e-4)


def test_rounds_double_and_then_draw_and_steps_change_sides() -> None:
    oracle = Plane()
    settings = SubstituteSettings(queries=200, epochs=1, doublings=2, period=1, reservoir=30)
    learn_substitute(oracle, some(20), build, settings, classes=2)
    assert [len(one) for one in oracle.asked] == [20, 20, 40, 30, 30, 30, 30]
    moved = oracle.asked[1] - oracle.asked[0]
    inside = (oracle.asked[0] > 0.11) & (oracle.asked[0] < 0.89)
    assert torch.allclose(moved[inside].abs(), torch.tensor(0.1), atol=0.5 / 255 + 1e-6)


def test_it_learns_the_plane() -> None:
    oracle = Plane()
    settings = SubstituteSettings(queries=800, epochs=20, lr=0.02)
    learned = learn_substitute(oracle, some(40), build, settings, classes=2)
    fresh = torch.rand((500, 1, 2, 3), generator=torch.Generator().manual_seed(9))
    same = learned.model(fresh).argmax(1) == Plane()(fresh)
    assert float(same.float().mean()) > 0.9


@pytest.mark.parametrize("questions", get_args(Questions))
def test_the_same_seed_asks_the_same_questions(questions: Questions) -> None:
    calls = []
    for _ in range(2):
        oracle = Plane()
        torch.rand(3)  # another global state
        settings = SubstituteSettings(queries=100, questions=questions, epochs=2, seed=4)
        learn_substitute(oracle, some(20), build, settings, classes=2)
        calls.append(torch.cat(oracle.asked))
    assert torch.equal(*calls)


def test_a_budget_below_the_seed_images_is_refused_before_any_question() -> None:
    oracle = Plane()
    with pytest.raises(InvalidInput, match="19 queries is smaller than the 20 seed images"):
        learn_substitute(oracle, some(20), build, SubstituteSettings(queries=19), classes=2)
    assert not oracle.asked


def test_an_oracle_of_other_classes_is_refused() -> None:
    oracle = LabelOnly(lambda images: images.flatten(1))
    with pytest.raises(BrokenContract, match="labels must be in"):
        learn_substitute(oracle, some(20), build, SubstituteSettings(queries=30), classes=2)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"queries": 0}, "must be"),
        ({"queries": 5, "period": 0}, "must be"),
        ({"step": 0.0}, "must be"),
        ({"eps": 0.0}, "must be"),
        ({"questions": "jacobean"}, "jacobian"),
        ({"questions": "attacks", "norm": "l0"}, "--questions jacobian"),
    ],
)
def test_bad_settings(bad: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"queries": 5} | bad
    with pytest.raises(InvalidInput, match=words):
        SubstituteSettings(**given)


def test_headers() -> None:
    assert headers_of(["A: b", "C:d:e"]) == {"A": "b", "C": "d:e"}
    with pytest.raises(InvalidInput, match="Name: value"):
        headers_of(["nothing"])


def test_a_whole_run_is_kept(tmp_path: Path) -> None:
    digits = load_data("digits", split="test")
    oracle = LabelOnly(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval())
    settings = SubstituteSettings(queries=60, epochs=1)
    report = substitute(
        oracle, digits, out=tmp_path / "run", settings=settings, seed_images=40, score=30,
        architectures=[f"{__name__}:small"], attacks=["fgsm", "transfer:steps=2,copies=1"],
        direct_images=6,
    )  # fmt: skip
    (result,) = report.results
    assert [one.attack for one in result.fooled] == ["fgsm", "transfer:steps=2,copies=1"]
    assert report.scoring == 90
    direct = sum(one.queries for one in report.direct)
    assert report.ledger.paid == 60 + 90 + direct + 6 * 2
    assert all(one.queries <= 60 for one in report.direct)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["results"][0]["weights_sha256"] == result.weights_sha256
    assert len(list((tmp_path / "run").glob("*.npz"))) == 1
    (weights,) = (tmp_path / "run").glob("*.safetensors")
    assert load_file(weights)


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seed_images": 61}, "smaller than the 61 seed images"),
        ({"seed_images": 0}, ">= 1"),
        ({"score": 10**6}, "more than the"),
        ({"architectures": ["zoo:vgg-cifar"]}, "does not take images"),
        ({"architectures": ["zoo:vgg"]}, "unknown model"),
        ({"direct": ["pgd"]}, "direct attacks are"),
    ],
)
def test_nothing_is_asked_where_a_run_cannot_be(
    more: dict[str, object], message: str, tmp_path: Path
) -> None:
    oracle = Plane()
    with pytest.raises(EpsballError, match=message):
        substitute(
            oracle, "digits", out=tmp_path / "run", settings=SubstituteSettings(queries=60),
            **({"seed_images": 40, "score": 30} | more),  # type: ignore[arg-type]  # wrong on purpose
        )  # fmt: skip
    assert not oracle.asked
    assert not (tmp_path / "run").exists()


def test_a_model_of_other_classes_is_no_oracle_for_these_data() -> None:
    with pytest.raises(InvalidInput, match="names 3 classes, the data have 10"):
        local_oracle(f"{__name__}:three", load_data("digits", split="test"), None)


def three() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 3)).eval()
