from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.fakes import Refusal, Small
from torch import Tensor, nn

from epsball.errors import BrokenContract
from epsball.models import probe
from epsball.types import ModelInfo

Model = Callable[[Tensor], Any]


def images(n: int = 6) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(2))


def linear(classes: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).eval()


def test_logits_are_recognised() -> None:
    assert probe(linear(), images()) == ModelInfo(classes=4)


@pytest.mark.parametrize("scale", [1, 1e6])  # mild, and saturated to exact 0 and 1
def test_probabilities_are_recognised(scale: float) -> None:
    model = linear()
    info = probe(lambda x: (scale * model(x)).softmax(1), images())
    assert info == ModelInfo(classes=4, gives="probabilities")


def test_log_probabilities_are_recognised() -> None:
    model = linear()
    info = probe(lambda x: model(x).log_softmax(1), images())
    assert info == ModelInfo(classes=4, gives="log-probabilities")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_probabilities_are_recognised_in_other_precisions(dtype: torch.dtype) -> None:
    model = linear(100)
    assert probe(lambda x: model(x).softmax(1).to(dtype), images()).gives == "probabilities"


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(0.02, 5))
def test_scores_that_only_resemble_probabilities_are_logits(shift: float) -> None:
    model = linear()
    assert probe(lambda x: model(x).softmax(1) + shift, images()).gives == "logits"
    assert probe(lambda x: model(x).log_softmax(1) - shift, images()).gives == "logits"


def test_images_alone_do_not_decide_what_scores_are() -> None:
    # On every clean image a row that sums to 1; on noise it does not.
    def model(inputs: Tensor) -> Tensor:
        flat = inputs.flatten(1)
        return torch.stack([flat.sum(1), 1 - flat.sum(1)], 1).clamp_min(0)

    assert probe(model, torch.zeros(3, 1, 8, 8)).gives == "logits"


def test_one_hot_answers_are_labels() -> None:
    model = linear()
    info = probe(lambda x: nn.functional.one_hot(model(x).argmax(1), 4).float(), images())
    assert info == ModelInfo(classes=4, gives="labels", differentiable=False)


@pytest.mark.parametrize(
    "cut",
    [
        lambda scores: scores.detach(),
        lambda scores: torch.from_numpy(scores.detach().numpy()),
        lambda scores: torch.ones_like(scores).requires_grad_(),
    ],
    ids=["detached", "numpy", "unrelated"],
)
def test_missing_gradient_is_noticed(cut: Callable[[Tensor], Tensor]) -> None:
    model = linear()
    assert not probe(lambda x: cut(model(x)), images()).differentiable


def test_no_grad_inside_the_model_is_noticed() -> None:
    assert not probe(torch.no_grad()(linear()), images()).differentiable


def test_gradient_is_found_whatever_the_caller_does() -> None:
    with torch.no_grad():
        assert probe(linear(), images()).differentiable


def test_declared_info_is_believed() -> None:
    model = linear(4)
    model.info = info = ModelInfo(3, rejects=True, gives="probabilities")  # type: ignore[assignment]
    assert probe(model, images()) is info


def test_declared_info_that_contradicts_the_scores_is_refused() -> None:
    model = linear(4)
    model.info = ModelInfo(classes=4, rejects=True)  # type: ignore[assignment]  # as defences do
    with pytest.raises(BrokenContract, match=r"promises 5 columns .* its scores have 4"):
        probe(model, images())


@pytest.mark.parametrize("train", [True, False])
def test_model_and_random_state_are_left_as_they_were(train: bool) -> None:
    model = nn.Sequential(Small(), nn.Dropout()).train(train)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    probe(model, images())
    assert torch.equal(torch.rand(3), expected)
    assert all(part.training == train for part in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_buffers_are_put_back_when_the_model_raises() -> None:
    class Counting(nn.Module):
        seen: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, _: Tensor) -> Tensor:
            self.seen += 1
            raise RuntimeError("broken")

    model = Counting()
    with pytest.raises(BrokenContract):
        probe(model, images())
    assert model.seen == 0


def test_model_that_raises_is_quoted_in_one_line(refusal: Refusal) -> None:
    def model(inputs: Tensor) -> Tensor:
        raise ValueError("expected 3 channels,\n   got 1")

    message = refusal(lambda: probe(model, images(2)))
    assert "the model raised ValueError: expected 3 channels, got 1" in message
    assert "(4, 1, 8, 8)" in message
    assert "--channels" in message


def test_model_that_takes_another_size_is_told_about_resize(refusal: Refusal) -> None:
    message = refusal(lambda: probe(linear(), torch.rand(2, 1, 9, 9)))
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied" in message
    assert "--resize" in message


@pytest.mark.parametrize(
    ("model", "found", "remedy"),
    [
        (lambda x: x.flatten(1).argmax(1), "(12,) and type torch.int64", "return logits"),
        (lambda x: x.flatten(1)[:, :3].long(), "type torch.int64", "return logits"),
        (lambda x: x.flatten(1).sum(1), "(12,)", "z.flatten()[:, None]], dim=1)"),
        (lambda x: x.flatten(1)[:, :1], "(12, 1)", "torch.cat([1 - p, p], dim=1)"),
        (lambda x: -x.flatten(1)[:, :1], "(12, 1)", "torch.cat([torch.zeros_like(z), z], dim=1)"),
        (lambda x: x, "(12, 1, 8, 8)", "one row of scores an image"),
        (lambda x: x.flatten(1)[:1], "(1, 64)", "for 12 images"),
        (lambda x: x.flatten(1) * torch.nan, "NaN or infinity", "weights"),
        (lambda x: x.flatten(1) / 0, "NaN or infinity", "weights"),
        (lambda x: SimpleNamespace(logits=x), "a SimpleNamespace", "output.logits"),
        (lambda x: (x.flatten(1), x), "a tuple", "--output 0"),
        (lambda x: {"logits": x}, "a dict", "--output logits"),
        (lambda _: None, "a NoneType", "one row of scores an image"),
        (lambda x: x.numpy(), "a ndarray", "one row of scores an image"),
    ],
)
def test_wrong_outputs_are_refused_with_a_remedy(
    model: Model, found: str, remedy: str, refusal: Refusal
) -> None:
    message = refusal(lambda: probe(model, images()))
    assert found in message
    assert remedy in message


def test_out_of_memory_is_left_to_the_engine() -> None:
    def model(inputs: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError):
        probe(model, images())


@pytest.mark.parametrize("images", [torch.zeros(0, 1, 8, 8), torch.zeros(2, 1, 8, 8).byte()])
def test_unfit_images_are_refused(images: Tensor, refusal: Refusal) -> None:
    assert "at least one image of floats" in refusal(lambda: probe(linear(), images))
