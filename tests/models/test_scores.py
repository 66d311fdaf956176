import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from epsball.models import as_logits, probe
from epsball.types import ModelInfo


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).double()


def inputs() -> Tensor:
    return torch.rand(4, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("gives", ["logits", "log-probabilities", "labels"])
def test_other_scores_pass_untouched(gives: str) -> None:
    model = linear()
    assert as_logits(model, ModelInfo(5, gives=gives)) is model  # type: ignore[arg-type]  # a str here


def test_loss_and_gradient_are_those_of_the_logits_below() -> None:
    model, labels = linear(), torch.tensor([0, 1, 2, 3])
    wrapped = as_logits(lambda x: model(x).softmax(1), ModelInfo(5, gives="probabilities"))
    gradients, losses = [], []
    for scores in (model, wrapped):
        point = inputs().requires_grad_()
        loss = cross_entropy(scores(point), labels)
        (gradient,) = torch.autograd.grad(loss, point)
        gradients.append(gradient)
        losses.append(loss)
    assert torch.allclose(losses[0], losses[1])
    assert torch.allclose(gradients[0], gradients[1])


def test_derivative_is_right() -> None:
    model = linear()
    wrapped = as_logits(lambda x: model(x).softmax(1), ModelInfo(5, gives="probabilities"))
    assert torch.autograd.gradcheck(wrapped, (inputs().requires_grad_(),))


def test_vanished_probabilities_stay_finite_without_gradient() -> None:
    probabilities = torch.tensor([[1.0, 0.0]]).requires_grad_()
    scores = as_logits(lambda _: probabilities, ModelInfo(2, gives="probabilities"))(inputs()[:1])
    assert scores.tolist() == [[0.0, pytest.approx(-87.34, abs=0.01)]]
    (gradient,) = torch.autograd.grad(scores.sum(), probabilities)
    assert gradient.tolist() == [[1.0, 0.0]]


def test_wrapper_is_recognised_as_log_probabilities() -> None:
    model = nn.Sequential(linear().float(), nn.Softmax(1)).eval()
    wrapped = as_logits(model, probe(model, inputs().float()))
    assert probe(wrapped, inputs().float()).gives == "log-probabilities"


@pytest.mark.parametrize("train", [True, False])
def test_mode_and_parameters_are_those_of_the_model(train: bool) -> None:
    model = nn.Sequential(linear(), nn.Softmax(1)).train(train)
    wrapped = as_logits(model, ModelInfo(5, gives="probabilities"))
    assert isinstance(wrapped, nn.Module)
    assert all(part.training == train for part in wrapped.modules())
    assert list(wrapped.parameters()) == list(model.parameters())
