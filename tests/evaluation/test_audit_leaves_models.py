"""The user's model is left as it is, wherever the audit is called."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wrappers import WRAPPERS, wrapped
from torch import Tensor, nn

from epsball import audit
from epsball.errors import InvalidInput
from epsball.workflows.craft import craft

IMAGES = torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def net(layer: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    more = [] if layer is None else [layer]
    return nn.Sequential(nn.Conv2d(3, 4, 3), *more, nn.Flatten(), nn.Linear(144, 5)).eval()


def labels(model: nn.Module) -> Tensor:
    with torch.no_grad():
        scores: Tensor = model(IMAGES)
    return scores.argmax(1)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=3), st.booleans())
def test_train_mode_is_seen_without_asking(names: list[str], batch_norm: bool) -> None:
    model = net(nn.BatchNorm2d(4) if batch_norm else nn.Dropout(0.2))
    truth = labels(model)
    before = [value.clone() for value in model.train().state_dict().values()]
    report = audit(wrapped(model, names), (IMAGES, truth), attacks=["fgsm"], eps=[0.05])
    assert [finding.code for finding in report.findings] == ["train-mode"]
    assert report.headline is None
    assert all(map(torch.equal, before, model.state_dict().values()))


def test_buffers_that_a_wrapper_moves_are_put_back() -> None:
    class Counts(nn.Module):
        asked: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.inner = net()
            self.register_buffer("asked", torch.zeros(()))

        def forward(self, inputs: Tensor) -> Tensor:
            self.asked += 1
            scores: Tensor = self.inner(inputs)
            return scores

    model = Counts().eval()
    report = audit(lambda x: model(x), (IMAGES, labels(model.inner)), attacks=["fgsm"], eps=[0.01])
    assert "state-moved" in [finding.code for finding in report.findings]
    assert float(model.asked) == 0


def test_tensors_that_no_module_holds_are_put_back() -> None:
    model, state = net(), {"asked": torch.zeros(())}

    def counts(inputs: Tensor) -> Tensor:
        state["asked"] += 1
        scores: Tensor = model(inputs)
        return scores

    report = audit(counts, (IMAGES, labels(model)), attacks=["fgsm"], eps=[0.01])
    assert "state-moved" in [finding.code for finding in report.findings]
    assert float(state["asked"]) == 0


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_are_computed_where_the_caller_has_none(context: type) -> None:
    model = net()
    truth = labels(model)
    outside = audit(model, (IMAGES, truth), attacks=["pgd:steps=3"], eps=[0.02])
    with context():
        inside = audit(model, (IMAGES, truth), attacks=["pgd:steps=3"], eps=[0.02])
        assert torch.is_grad_enabled() is False
    assert inside.headline == outside.headline


class _Restless(nn.Module):
    """Draws from every global source of randomness, and seeds torch's anew."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, inputs: Tensor) -> Tensor:
        torch.manual_seed(3)
        noise = torch.rand(5) + random.random() + float(np.random.rand())  # noqa: NPY002
        return self.net(inputs) + 1e-3 * noise  # type: ignore[no-any-return]  # of a module


def test_random_states_are_put_back(tmp_path: Path) -> None:
    model = _Restless().eval()
    truth, state = labels(model), torch.get_rng_state()
    of_python, of_numpy = random.getstate(), np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    audit(model, (IMAGES, truth), attacks=["fgsm"], eps=[0.05])
    craft(model, (IMAGES, truth), out=tmp_path / "made", attack="fgsm", eps=0.05)
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == of_python
    assert np.array_equal(np.random.get_state()[1], of_numpy)  # type: ignore[index]  # noqa: NPY002


def test_a_model_made_in_inference_mode_is_copied_or_refused() -> None:
    with torch.inference_mode():
        model = net()
        images, truth = IMAGES.clone(), labels(model)
        report = audit(model, (images, truth), attacks=["fgsm"], eps=[0.02])
        assert report.summary["clean"]["accuracy"] == 1.0
        with pytest.raises(InvalidInput, match="inference_mode"):
            audit(lambda x: model(x), (images, truth), attacks=["fgsm"], eps=[0.02])


def test_a_run_is_not_continued_by_a_model_whose_scores_changed(tmp_path: Path) -> None:
    """The factor is in a file, which no hash of the model can know of."""
    model, file = net(), tmp_path / "factor.json"
    truth = labels(model)

    def scaled(inputs: Tensor) -> Tensor:
        scores: Tensor = model(inputs) * json.loads(file.read_text())
        return scores

    file.write_text("1.0")
    options = {"attacks": ["fgsm"], "eps": [0.02], "out": tmp_path / "run"}
    first = audit(scaled, (IMAGES, truth), **options)  # type: ignore[arg-type]
    again = audit(scaled, (IMAGES, truth), **options)  # type: ignore[arg-type]
    assert again.headline == first.headline
    file.write_text("1.5")
    with pytest.raises(InvalidInput, match=r"differs in model.scores"):
        audit(scaled, (IMAGES, truth), **options)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the compiler, about itself
@pytest.mark.parametrize("attack", ["pgd:steps=2", "deepfool", "fab:steps=2"])
def test_compiled_models_are_attacked_like_the_network(attack: str) -> None:
    model = net(nn.ReLU())
    truth = labels(model)
    compiled = torch.compile(net(nn.ReLU()), backend="aot_eager")
    point = IMAGES[:2].clone().requires_grad_()
    torch.autograd.grad(compiled(point).sum(), point)  # its buffers are given away from now on
    both = [
        audit(m, (IMAGES, truth), attacks=[attack], norm="l2", eps=[0.1]).headline
        for m in (model, compiled)
    ]
    assert both[0] == both[1]


def test_scores_of_the_images_themselves_are_compared_on_resume(tmp_path: Path) -> None:
    """The factor acts on dark images alone, of which noise has none."""
    model, file = net(), tmp_path / "factor.json"
    dark = 0.2 * IMAGES

    def scaled(inputs: Tensor) -> Tensor:
        factor = torch.where(inputs.mean((1, 2, 3)) < 0.3, json.loads(file.read_text()), 1.0)
        scores: Tensor = model(inputs) * factor[:, None]
        return scores

    file.write_text("1.0")
    options = {"attacks": ["fgsm"], "eps": [0.02], "out": tmp_path / "run"}
    audit(scaled, (dark, labels(model)), **options)  # type: ignore[arg-type]
    file.write_text("-1.0")
    with pytest.raises(InvalidInput, match=r"differs in model.scores"):
        audit(scaled, (dark, labels(model)), **options)  # type: ignore[arg-type]
