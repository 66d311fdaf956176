import warnings
from pathlib import Path

import pytest
import torch
from tests.models.fakes import Refusal
from torch import Tensor, nn

from epsball import audit
from epsball.errors import InvalidInput
from epsball.models import Pipeline, Preprocess, load_model
from epsball.models.loading.messages import one_line
from epsball.models.precision import InOwnPrecision, in_own_precision, tolerance_of
from epsball.models.readiness import check_ready, dtypes_of

IMAGES, LABELS = torch.rand(12, 3, 8, 8), torch.arange(12) % 3


def traced(module: nn.Module, images: Tensor) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        script: torch.jit.ScriptModule = torch.jit.trace(module, images)  # type: ignore[no-untyped-call]
    return script


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()


def lazy() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(3))


@pytest.mark.parametrize("hidden", [False, True])
def test_parameters_without_values_are_refused(hidden: bool, refusal: Refusal) -> None:
    for model, said in ((on_meta(), "on the meta device"), (lazy(), "not initialised")):
        shown = (lambda inputs, inner=model: inner(inputs)) if hidden else model
        message = refusal(lambda shown=shown: check_ready(shown))  # type: ignore[misc]
        assert said in message
        assert "load its weights" in message
        assert refusal(lambda shown=shown: audit(shown, (IMAGES, LABELS))) == message  # type: ignore[misc]


def test_the_remedies_for_parameters_without_values_work() -> None:
    trained = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    for model in (on_meta().to_empty(device="cpu"), nn.Sequential(nn.Flatten(), nn.LazyLinear(3))):
        model(IMAGES)
        model.load_state_dict(trained.state_dict())
        check_ready(model.eval())
        assert torch.equal(model(IMAGES), trained(IMAGES))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_model_in_another_type_is_shown_images_of_that_type(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    model = model.to(dtype).eval()
    assert dtypes_of(model)[:1] == ((dtype,) if dtype else ())
    labels = model(IMAGES.to(dtype)).argmax(1)
    report = audit(model, (IMAGES, labels), attacks=["fgsm"], eps=[0.01])
    assert report.summary["clean"]["accuracy"] == 1.0
    assert next(model.parameters()).dtype == dtype


def test_model_that_converts_by_itself_is_left_alone() -> None:
    class Converts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(192, 3).double()

        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = self.net(inputs.flatten(1).double())
            return scores

    model = Converts().eval()
    assert in_own_precision(model, IMAGES) is model
    inner = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).half().eval()
    assert isinstance(in_own_precision(inner, IMAGES), InOwnPrecision)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_pipeline_scales_in_float32_before_a_model_of_another_type(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Flatten(), nn.Linear(IMAGES[0].numel(), 4)).eval()
    whole = Pipeline(Preprocess(mean=(0.5,), std=(0.25,)), inner)
    expected = whole(IMAGES)
    own = Pipeline(whole.preprocess, inner.to(dtype))
    scores = in_own_precision(own, IMAGES)(IMAGES)
    assert torch.allclose(scores.float(), expected, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_frozen_script_has_no_parameters_and_is_asked_in_its_type(dtype: torch.dtype) -> None:
    inner = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).to(dtype).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        frozen = torch.jit.freeze(traced(inner, IMAGES.to(dtype)))
    own = in_own_precision(frozen, IMAGES)
    assert torch.equal(own(IMAGES), inner(IMAGES.to(dtype)).to(own(IMAGES).dtype))
    assert tolerance_of(own) >= (1e-3 if dtype == torch.float64 else 5e-3)


def test_a_model_of_two_types_is_asked_in_the_commoner() -> None:
    inner = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).half().eval()
    inner.register_buffer("calls", torch.zeros(()))
    assert dtypes_of(inner) == (torch.float16, torch.float32)
    assert isinstance(in_own_precision(inner, IMAGES), InOwnPrecision)


def test_the_reason_of_a_script_is_its_last_line() -> None:
    inner = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    script = traced(inner, IMAGES)
    with pytest.raises(RuntimeError) as caught:
        script(IMAGES.double())
    assert "dtype" in one_line(caught.value)
    assert "Traceback" not in one_line(caught.value)


def test_a_factory_that_returns_parameters_without_values_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n\ndef build():\n    with torch.device('meta'):\n"
        "        return nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()\n"
    )
    with pytest.raises(InvalidInput, match="meta device"):
        load_model(f"{tmp_path / 'net.py'}:build")
