"""Neural Rejection and Deep Neural Rejection decide as their sources do."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import pgd
from epsball.defences import DeepNeuralRejection, Features, NeuralRejection, RbfSvm, Rejector, load
from epsball.models import MODELS

Refusal = Callable[[Callable[[], object]], str]
LAYERS = ("conv", "first", "second")
FEW = 300


def test_neural_rejection_is_an_svm_on_a_layer(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:FEW], digits[1][:FEW]
    rejector = NeuralRejection(net, layer="second", gamma=0.02, c=1.0).fit(images, labels)
    read = Features(net, ("second",))
    svm = RbfSvm(gamma=0.02, c=1.0).fit(read(images)["second"].detach(), labels)
    new = digits[0][1200:]
    probabilities = svm.log_odds(read(new)["second"]).sigmoid()
    theta = torch.full((len(new), 1), 0.9)
    decided = torch.cat([probabilities, theta], dim=1).argmax(1)
    assert 0 < int((decided == 10).sum()) < len(new)
    assert torch.equal(rejector(new).argmax(1), decided)
    assert torch.allclose(rejector(new).sigmoid(), torch.cat([probabilities, theta], 1), atol=1e-5)


@pytest.mark.parametrize("combiner", ["out-of-fold", "in-sample"])
def test_deep_neural_rejection_is_an_svm_on_what_svms_say(
    combiner: str, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:FEW], digits[1][:FEW]
    rejector = DeepNeuralRejection(
        net,
        layers=LAYERS,
        combiner=combiner,  # type: ignore[arg-type]  # one of two
        gamma=(0.01, 0.02, 0.03),
        c=1.0,
        combiner_gamma=0.5,
        threshold=0.8,
    ).fit(images, labels)
    read = Features(net, LAYERS).collect([images])
    svms = [
        RbfSvm(gamma=gamma, c=1.0).fit(read[layer], labels)
        for layer, gamma in zip(LAYERS, (0.01, 0.02, 0.03), strict=True)
    ]
    said = [svm.out_of_fold_ if combiner == "out-of-fold" else svm.in_sample_ for svm in svms]
    joined = torch.cat([one.sigmoid() for one in said], dim=1)
    top = RbfSvm(gamma=0.5, c=0.1).fit(joined, labels)
    new = digits[0][1200:]
    result = Features(net, LAYERS).collect([new])
    seen = torch.cat(
        [svm.log_odds(result[layer]).sigmoid() for svm, layer in zip(svms, LAYERS, strict=True)], 1
    )
    assert seen.shape == (len(new), 30)
    assert torch.allclose(rejector.probabilities(new), seen, atol=1e-4)
    theta = torch.full((len(new), 1), 0.8)
    decided = torch.cat([top.log_odds(seen).sigmoid(), theta], dim=1).argmax(1)
    assert 0 < int((decided == 10).sum()) < len(new)
    assert float((rejector(new).argmax(1) == decided).float().mean()) > 0.99


def test_combiners_differ_and_the_honest_one_is_less_sure(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:FEW], digits[1][:FEW]
    result = [
        DeepNeuralRejection(net, layers=("conv",), combiner=kind, gamma=1.0, c=10.0).fit(
            images, labels
        )
        for kind in ("out-of-fold", "in-sample")
    ]
    honest, sure = (float(one.acceptance(images).detach().mean()) for one in result)
    assert honest < sure


def test_layers_are_chosen_where_none_is_named(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:FEW], digits[1][:FEW]
    assert NeuralRejection(net).fit(images, labels).layer_ == "second.1"
    deep = DeepNeuralRejection(net).fit(images, labels)
    assert deep.layers_ == ("conv.2", "first.1", "second.1")
    assert all(isinstance(svm, RbfSvm) for svm in deep.svms_)


def test_a_network_of_ones_own_for_colour_images() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand((120, 3, 32, 32), generator=generator)
    labels = torch.arange(120) % 10
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS["vgg-cifar"].build(width=0.1).eval()
    rejector = DeepNeuralRejection(model).fit(images, labels)
    assert rejector(images[:4]).shape == (4, 11)
    assert len(rejector.layers_) == 3


def test_settings_of_layers_are_refused(
    net: nn.Module, digits: tuple[Tensor, Tensor], refusal: Refusal
) -> None:
    assert "unknown layer 'thirdd': known: " in refusal(
        lambda: DeepNeuralRejection(net, layers=("first", "thirdd"))
    )
    assert "unknown layer" in refusal(lambda: NeuralRejection(net, layer="x"))
    assert "did you mean 'in-sample'" in refusal(
        lambda: DeepNeuralRejection(net, combiner="insample")  # type: ignore[arg-type]  # on purpose
    )
    assert "one for each of 3 layers, got 2" in refusal(
        lambda: DeepNeuralRejection(net, layers=LAYERS, gamma=(0.1, 0.2))
    )
    assert "one for each of 3 layers, got 2" in refusal(
        lambda: DeepNeuralRejection(net, layers=LAYERS, c=[0.1, 0.2])
    )
    assert DeepNeuralRejection(net, c=[0.1, 1.0, 1.0]).settings()["c"] == [0.1, 1.0, 1.0]
    assert "named by a text, as '2', got 2" in refusal(lambda: NeuralRejection(net, layer=2))  # type: ignore[arg-type]  # on purpose
    assert "standardise must be True or False, got 'no'" in refusal(
        lambda: NeuralRejection(net, standardise="no")  # type: ignore[arg-type]  # on purpose
    )
    assert "search must name values" in refusal(
        lambda: DeepNeuralRejection(net, search=0.1)  # type: ignore[arg-type]  # on purpose
    )
    assert "must name a layer once, got 'first' twice" in refusal(
        lambda: DeepNeuralRejection(net, layers=("first", "second", "first"))
    )
    assert "must be a list of names, got 'first'" in refusal(
        lambda: DeepNeuralRejection(net, layers="first")
    )
    assert "c must be" in refusal(lambda: NeuralRejection(net, c=0))
    assert "gamma must be" in refusal(lambda: DeepNeuralRejection(net, combiner_gamma=-1))


def test_settings_may_be_numbers_and_arrays_of_numpy(
    net: nn.Module, digits: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    images, labels = digits[0][:FEW], digits[1][:FEW]
    rejector = DeepNeuralRejection(
        net,
        layers=LAYERS[1:],
        threshold=np.float32(0.75),  # type: ignore[arg-type]  # numpy's is no float
        gamma=np.array([0.01, 0.1]),  # type: ignore[arg-type]
        search={"c": np.logspace(0, 1, 2)},  # type: ignore[dict-item]
        batch_size=np.int64(100),  # type: ignore[arg-type]
    ).fit(images, labels)
    assert rejector.threshold_ == pytest.approx(0.75)
    again = load(rejector.save(tmp_path), net)
    assert again.settings() == rejector.settings()
    assert again.settings()["gamma"] == [0.01, 0.1]
    assert torch.equal(again(images), rejector(images))


class Blind(nn.Module):
    """A layer that says nothing, or nonsense."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.mute = nn.Linear(64, 3)
        self.output = nn.Linear(3, 10)
        with torch.no_grad():
            self.mute.weight.zero_()
            self.mute.bias.fill_(value)

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.output(self.mute(inputs.flatten(1)))
        return scores


def test_layers_that_say_nothing_are_named(digits: tuple[Tensor, Tensor], refusal: Refusal) -> None:
    images, labels = digits[0][:FEW], digits[1][:FEW]
    builds: tuple[Callable[[nn.Module], Rejector], ...] = (
        lambda model: NeuralRejection(model, layer="mute"),
        lambda model: DeepNeuralRejection(model, layers=("mute",)),
    )
    for build in builds:
        mute, mad = build(Blind(1.0).eval()), build(Blind(float("nan")).eval())
        constant = refusal(functools.partial(mute.fit, images, labels))
        assert constant.startswith("layer 'mute': at least one feature must vary")
        strange = refusal(functools.partial(mad.fit, images, labels))
        assert strange.startswith("layer 'mute': features must be finite")


def test_an_attacker_gets_in_through_network_and_machines(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:FEW], digits[1][:FEW]
    rejector = DeepNeuralRejection(
        net, layers=("first", "second"), gamma=0.02, c=1.0, combiner_gamma=0.5, threshold=0.6
    ).fit(images, labels)
    new, truth = digits[0][1200:1260], digits[1][1200:1260]
    result = rejector(pgd(rejector, new, truth, eps=2.0, norm="l2", steps=30)).argmax(1)
    assert int(((result != truth) & (result != 10)).sum()) > 20
