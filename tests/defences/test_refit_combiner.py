"""A combiner fitted again is that of a fresh fit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from epsball.defences import DeepNeuralRejection, load
from epsball.defences.rejectors.deep_neural_rejection import Combiner
from epsball.errors import NotFitted

Refusal = Callable[[Callable[[], object]], str]
LAYERS = ("conv", "first", "second")
FEW = 300


@pytest.fixture(scope="module")
def images(digits: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return digits[0][:FEW], digits[1][:FEW]


def test_a_combiner_fitted_again_is_that_of_a_fresh_fit(
    net: nn.Module, images: tuple[Tensor, Tensor], digits: tuple[Tensor, Tensor]
) -> None:
    def fitted(combiner: Combiner) -> DeepNeuralRejection:
        return DeepNeuralRejection(
            net, layers=LAYERS, combiner=combiner, c=1.0, combiner_gamma=0.5
        ).fit(*images)

    one, other, new = fitted("in-sample"), fitted("out-of-fold"), digits[0][1200:]
    before = one(new)
    again = one.refit_combiner(images[1], "out-of-fold")
    assert again is one
    assert one.settings()["combiner"] == "out-of-fold"
    assert not torch.equal(before, one(new))
    assert torch.equal(one(new), other(new))
    assert torch.equal(one.refit_combiner(images[1], "in-sample")(new), before)


def test_what_was_loaded_cannot_be_refitted(
    net: nn.Module, images: tuple[Tensor, Tensor], tmp_path: Path, refusal: Refusal
) -> None:
    rejector = DeepNeuralRejection(net, layers=LAYERS)
    with pytest.raises(NotFitted):
        rejector.refit_combiner(images[1], "in-sample")
    rejector.fit(*images)
    assert "combiner" in refusal(lambda: rejector.refit_combiner(images[1], "both"))  # type: ignore[arg-type]  # the mistake
    assert "300" in refusal(lambda: rejector.refit_combiner(images[1][:-1], "in-sample"))
    loaded = load(rejector.save(tmp_path / "dnr"), net)
    assert isinstance(loaded, DeepNeuralRejection)
    assert "fit again" in refusal(lambda: loaded.refit_combiner(images[1], "in-sample"))
