"""What every rejector of the table must do."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import pgd
from epsball.defences import REJECTORS, Rejector, RejectorSpec, load, rejector_named
from epsball.defences.base.images import ImageSet
from epsball.defences.base.thresholds import calibration_mask
from epsball.errors import BrokenContract, NotFitted
from epsball.identity import model_hash
from epsball.models import load_model
from epsball.tensors import Images
from epsball.types import ModelInfo

Refusal = Callable[[Callable[[], object]], str]
GOOD: dict[str, dict[str, Any]] = {
    "nr": {"gamma": 0.01, "c": 1.0},
    "dnr": {"gamma": 0.01, "c": 1.0, "combiner_gamma": 0.5},
}
FIT = slice(0, 600)
HELD = slice(1200, 1797)
Fitted = Callable[[str], Rejector]


@pytest.fixture(scope="module")
def fitted(net: nn.Module, digits: tuple[Tensor, Tensor]) -> Fitted:
    """Each rejector, fitted once; tests change copies."""
    images, labels = digits
    result: dict[str, Rejector] = {}

    def get(name: str) -> Rejector:
        if name not in result:
            built = REJECTORS[name].build(net, **GOOD.get(name, {}))
            result[name] = built.fit(images[FIT], labels[FIT])
        return result[name]

    return get


def twin(rejector: Rejector) -> Rejector:
    return copy.deepcopy(rejector)


def params() -> list[Any]:
    """Check a rejector with an SVM and one with a score by default."""
    slow = pytest.mark.slow
    return [pytest.param(n, marks=() if n in ("nr", "energy") else slow) for n in REJECTORS]


@pytest.fixture(params=params())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def state(model: nn.Module) -> list[Any]:
    return [
        {key: value.clone() for key, value in model.state_dict().items()},
        [parameter.grad for parameter in model.parameters()],
        [parameter.requires_grad for parameter in model.parameters()],
        [module.training for module in model.modules()],
        [len(module._forward_hooks) for module in model.modules()],
    ]


def same(one: list[Any], other: list[Any]) -> bool:
    tensors = all(torch.equal(one[0][key], other[0][key]) for key in one[0] | other[0])
    return tensors and one[1:] == other[1:]


@pytest.mark.parametrize("name", REJECTORS)
def test_the_last_column_wins_where_acceptance_is_below_the_threshold(
    name: str, fitted: Fitted, digits: tuple[Tensor, Tensor]
) -> None:
    rejector = fitted(name)
    scores = rejector(digits[0][HELD])
    assert scores.shape == (597, 11)
    assert scores.dtype == torch.float32
    assert bool(scores.isfinite().all())
    info = rejector.info
    assert (info.classes, info.rejects, info.differentiable) == (10, True, True)
    assert info.gives == rejector.gives
    images = torch.cat([digits[0][HELD], torch.rand(50, 1, 8, 8)])
    scores, accepted = rejector(images), rejector.acceptance(images)
    if rejector.gives == "log-odds":
        rejected = accepted.double().sigmoid() < rejector.threshold_
        assert torch.allclose(scores[:, -1].sigmoid(), torch.tensor(rejector.threshold_).float())
    else:
        rejected = accepted < rejector.threshold_
    assert 0 < int(rejected.sum()) < len(images)
    assert torch.equal(scores.argmax(1) == 10, rejected)


@pytest.mark.parametrize("name", REJECTORS)
def test_clean_images_are_named_right_and_noise_is_rejected_more(
    name: str, fitted: Fitted, digits: tuple[Tensor, Tensor]
) -> None:
    rejector = fitted(name)
    images, labels = digits[0][HELD], digits[1][HELD]
    named = rejector(images)[:, :10].argmax(1)
    assert float((named == labels).float().mean()) > 0.9
    noise = torch.rand((597, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        result, strange = rejector.acceptance(images), rejector.acceptance(noise)
    assert float(strange.mean()) < float(result.mean())


def test_the_model_stays_as_it_is(name: str, net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    before = state(net)
    rejector = REJECTORS[name].build(net, **GOOD.get(name, {})).fit(images[:200], labels[:200])
    assert rejector.train() is rejector
    assert not rejector.training
    adversarial = pgd(rejector, images[:8], labels[:8], eps=0.1, steps=3)
    assert adversarial.shape == (8, 1, 8, 8)
    rejector.calibrate(images[200:300])
    assert same(before, state(net))
    assert not any(key.startswith("model.") for key in rejector.learned())


def test_pgd_finds_a_way_in(name: str, fitted: Fitted, digits: tuple[Tensor, Tensor]) -> None:
    rejector = fitted(name)
    images, labels = digits[0][HELD][:40], digits[1][HELD][:40]
    result = rejector(pgd(rejector, images, labels, eps=0.3, steps=20)).argmax(1)
    clean = rejector(images).argmax(1)
    assert int((result == labels).sum()) < int((clean == labels).sum())


def test_the_gradient_is_that_of_finite_differences(
    name: str, fitted: Fitted, digits: tuple[Tensor, Tensor]
) -> None:
    rejector = twin(fitted(name)).double()
    # noise, because a maximum over equal pixels has no gradient
    noise = torch.rand((2, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    point = (0.7 * digits[0][HELD][:2] + 0.3 * noise).double().requires_grad_()
    assert torch.autograd.gradcheck(rejector, point, eps=1e-7, atol=1e-5, rtol=1e-4)


def test_a_batch_is_judged_row_by_row(
    name: str, fitted: Fitted, digits: tuple[Tensor, Tensor]
) -> None:
    rejector, images = fitted(name), digits[0][HELD][:20]
    alone = torch.cat([rejector(one[None]) for one in images])
    assert torch.allclose(alone, rejector(images), atol=1e-3)
    assert rejector(images[:0]).shape == (0, 11)  # what a mask leaves may be nothing


def test_images_may_be_arrays_and_bytes(
    name: str, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    pixels = (digits[0][:200] * 255).round().to(torch.uint8)
    build = REJECTORS[name].build
    rejectors = [
        build(net, batch_size=size, **GOOD.get(name, {})).fit(images, labels)
        for images, labels, size in (
            (pixels.float() / 255, digits[1][:200], 256),
            (pixels.numpy(), digits[1][:200].numpy().astype(np.int32), 17),
        )
    ]
    one, other = (rejector(digits[0][300:320]) for rejector in rejectors)
    assert torch.allclose(one, other, atol=0.05, rtol=0.01)


def test_thresholds_change_without_a_fit(
    name: str, fitted: Fitted, digits: tuple[Tensor, Tensor]
) -> None:
    rejector, images = twin(fitted(name)), digits[0][HELD]
    for share in (0.01, 0.05, 0.5):
        rejector.calibrate(images, false_rejection=share)
        rejected = int((rejector(images).argmax(1) == 10).sum())
        assert rejected == pytest.approx(int(share * 597), abs=1)
    if rejector.gives == "log-odds":
        rejector.set_threshold(0.6)
        assert rejector.threshold_ == pytest.approx(0.6)
        rejector.set_threshold(1 - 1e-12)
        assert rejector.threshold_ == pytest.approx(1 - 1e-12, abs=1e-15)


def test_calibration_on_what_is_named_right(
    name: str, fitted: Fitted, digits: tuple[Tensor, Tensor]
) -> None:
    rejector, (images, labels) = twin(fitted(name)), (digits[0][HELD], digits[1][HELD])
    rejector.calibrate(images, labels, false_rejection=0.1)
    right = rejector(images)[:, :10].argmax(1) == labels
    rejected = rejector(images).argmax(1) == 10
    assert float(rejected[right].float().mean()) == pytest.approx(0.1, abs=0.005)


def test_a_rate_of_false_rejection_instead_of_a_threshold(
    name: str, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits
    build = REJECTORS[name].build
    rejector = build(net, false_rejection=0.1, **GOOD.get(name, {}))
    rejector.fit(images[FIT], labels[FIT])
    kept = images[FIT][calibration_mask(labels[FIT])]
    rejected = int((rejector(kept).argmax(1) == 10).sum())
    assert rejected == int(0.1 * len(kept)) > 0


def test_what_is_kept_apart_is_a_tenth_of_each_class() -> None:
    labels = torch.arange(300) % 10  # every tenth image would all be of one class
    kept = calibration_mask(labels)
    assert labels[kept].bincount().tolist() == [3] * 10
    assert not bool(calibration_mask(torch.arange(9) // 9).any())


@pytest.mark.parametrize("name", REJECTORS)
def test_saved_and_loaded_it_says_the_same(
    name: str, fitted: Fitted, net: nn.Module, digits: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    rejector = fitted(name)
    folder = rejector.save(tmp_path / "defence")
    assert {file.name for file in folder.iterdir()} == {"defence.json", "defence.safetensors"}
    again = load(folder, net)
    assert type(again) is type(rejector)
    assert torch.equal(again(digits[0][HELD]), rejector(digits[0][HELD]))
    assert again.info == rejector.info
    assert again.settings() == json.loads(json.dumps(again.settings()))
    again.save(tmp_path / "again")
    contents = [
        json.loads((one / "defence.json").read_text()) for one in (folder, tmp_path / "again")
    ]
    assert contents[0] == contents[1]


def test_another_model_is_refused(
    name: str, fitted: Fitted, net: nn.Module, tmp_path: Path, refusal: Refusal
) -> None:
    folder = fitted(name).save(tmp_path / "defence")
    other = copy.deepcopy(net)
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    message = refusal(lambda: load(folder, other))
    assert model_hash(net) in message
    assert model_hash(other) in message
    changed = twin(fitted(name))
    with torch.no_grad():
        next(changed.get_submodule("model").parameters()).add_(1e-3)
    assert "fit again" in refusal(changed.check_base)
    assert "fit again" in refusal(lambda: changed.save(tmp_path / "no"))
    assert not (tmp_path / "no").exists()


def test_damaged_folders_are_refused(
    name: str, fitted: Fitted, net: nn.Module, tmp_path: Path, refusal: Refusal
) -> None:
    assert "holds no defence.json" in refusal(lambda: load(tmp_path, net))
    folder = fitted(name).save(tmp_path / "defence")
    file = folder / "defence.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole + b"x")
    assert "is not the file" in refusal(lambda: load(folder, net))
    file.write_bytes(whole)
    described = json.loads((folder / "defence.json").read_text())
    (folder / "defence.json").write_text(json.dumps(described | {"format": 99}))
    assert "another format" in refusal(lambda: load(folder, net))
    (folder / "defence.json").write_text("{")
    assert "not valid JSON" in refusal(lambda: load(folder, net))
    (folder / "defence.json").write_text(json.dumps(described | {"cut": None}))
    assert "does not fit this version" in refusal(lambda: load(folder, net))


def test_asked_before_it_was_fitted(name: str, net: nn.Module, tmp_path: Path) -> None:
    rejector = REJECTORS[name].build(net)
    images = torch.rand(2, 1, 8, 8)
    for ask in (
        lambda: rejector(images),
        lambda: rejector.acceptance(images),
        lambda: rejector.calibrate(images),
        lambda: rejector.set_threshold(0.5),
        lambda: rejector.threshold_,
        lambda: rejector.save(tmp_path),
    ):
        with pytest.raises(NotFitted, match="call fit first"):
            ask()
    assert getattr(rejector, "info", None) is None


def test_settings_are_refused(name: str, net: nn.Module, refusal: Refusal) -> None:
    build = REJECTORS[name].build
    if REJECTORS[name].build(net).gives == "log-odds":
        for wrong in (0.0, 1.0, -0.1, 90, float("nan"), "0.9", True):
            message = refusal(lambda wrong=wrong: build(net, threshold=wrong))  # type: ignore[misc]
            assert "(0, 1)" in message
    assert "threshold must be" in refusal(lambda: build(net, threshold="high"))
    for wrong in (0.0, 1.0, "few"):
        message = refusal(
            lambda wrong=wrong: build(net, false_rejection=wrong)  # type: ignore[misc]
        )
        assert "false_rejection must be in (0, 1)" in message
    assert "one of the two" in refusal(lambda: build(net, threshold=0.5, false_rejection=0.1))
    for wrong in (0, 1.5, "7"):
        message = refusal(lambda wrong=wrong: build(net, batch_size=wrong))  # type: ignore[misc]
        assert "batch_size must be a whole number >= 1" in message
    assert "call .eval() on it" in refusal(lambda: build(copy.deepcopy(net).train()))


def test_images_and_labels_are_refused(
    name: str, net: nn.Module, digits: tuple[Tensor, Tensor], refusal: Refusal
) -> None:
    images, labels = digits[0][:200], digits[1][:200]
    rejector = REJECTORS[name].build(net)
    known = labels != 4
    message = refusal(lambda: rejector.fit(images[known], labels[known]))
    assert "names 10 classes, the fit has images of only 9 of them, and none of class 4" in message
    assert "below the model's 10 classes, got 14" in refusal(
        lambda: rejector.fit(images, labels + 5)
    )
    assert "labels must be integers" in refusal(lambda: rejector.fit(images, labels.float()))
    assert "labels must be integers" in refusal(lambda: rejector.fit(images, labels[:3]))
    assert "labels must be 0 or more" in refusal(lambda: rejector.fit(images, labels - 1))
    assert "(n, c, h, w)" in refusal(lambda: rejector.fit(images[0], labels))
    assert "(n, c, h, w)" in refusal(lambda: rejector.fit(images[:0], labels[:0]))
    assert "uint8 or float" in refusal(lambda: rejector.fit(images.int(), labels))
    assert "divide by 255" in refusal(lambda: rejector.fit(images * 255, labels))
    assert "divide by 255" in refusal(lambda: rejector.fit(images * float("nan"), labels))
    with pytest.raises(NotFitted):
        rejector(images)


def test_models_that_cannot_be_defended_are_refused(
    name: str, fitted: Fitted, digits: tuple[Tensor, Tensor], refusal: Refusal
) -> None:
    images, labels = digits[0][:200], digits[1][:200]
    build = REJECTORS[name].build
    assert "rejects already" in refusal(lambda: build(fitted(name)).fit(images, labels))
    one = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 1)).eval()
    assert "2 classes or more" in refusal(lambda: build(one).fit(images, labels * 0))
    flat = nn.Sequential(nn.Conv2d(1, 2, 3)).eval()
    with pytest.raises(BrokenContract, match=r"\(n, k\)"):
        build(flat).fit(images, labels)


class Known(nn.Sequential):
    """A model beside which stands what is known of it."""

    def __init__(self, model: nn.Module, info: ModelInfo) -> None:
        super().__init__(model)
        self.info: Any = info
        self.eval()


def test_a_rejector_knows_what_its_model_does(
    name: str, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    known = Known(net, ModelInfo(10, differentiable=False))
    rejector = REJECTORS[name].build(known).fit(digits[0][:200], digits[1][:200])
    assert not rejector.info.differentiable


def test_probabilities_are_refused_where_scores_are_read(
    name: str, net: nn.Module, digits: tuple[Tensor, Tensor], refusal: Refusal
) -> None:
    shares = nn.Sequential(net, nn.Softmax(1)).eval()
    result = Known(shares, ModelInfo(10, gives="probabilities"))  # and one that does not say so
    for model, place in ((shares, "0.second"), (result, "0.0.second")):
        own: dict[str, dict[str, Any]] = {"nr": {"layer": place}, "dnr": {"layers": (place,)}}
        settings = own.get(name, {})
        rejector = REJECTORS[name].build(model, **settings)
        if rejector.reads_scores:
            message = refusal(lambda r=rejector: r.fit(digits[0][:200], digits[1][:200]))  # type: ignore[misc]
            assert "this one gives probabilities" in message
            assert "as_logits" in message
        else:
            assert rejector.fit(digits[0][:200], digits[1][:200]).info.gives == "log-odds"


def test_a_base_of_the_same_hash_and_other_scores_is_refused(
    fitted: Fitted, net: nn.Module, tmp_path: Path, refusal: Refusal
) -> None:
    folder = fitted("msp").save(tmp_path / "defence")
    facts = folder / "defence.json"
    content = json.loads(facts.read_text())
    load(folder, net)
    content["base_scores"]["rows"][0][0] += 1.0
    facts.write_text(json.dumps(content))
    assert "gave other scores" in refusal(lambda: load(folder, net))
    del content["base_scores"]  # as older versions wrote it
    facts.write_text(json.dumps(content))
    load(folder, net)


def test_another_threshold_is_another_model(name: str, fitted: Fitted) -> None:
    rejector = twin(fitted(name))
    before = model_hash(rejector)
    assert model_hash(twin(rejector)) == before
    rejector.set_threshold(0.123)
    assert model_hash(rejector) != before  # else an audit would go on with the records of the other


def test_a_fit_that_fails_leaves_nothing_to_ask(
    name: str, net: nn.Module, digits: tuple[Tensor, Tensor], refusal: Refusal
) -> None:
    images, labels = digits[0][:600], digits[1][:600]
    few = torch.cat([(labels == k).nonzero()[:8, 0] for k in range(10)])  # none to keep apart
    rejector = REJECTORS[name].build(net, false_rejection=0.1)
    assert "ten or more of a class" in refusal(lambda: rejector.fit(images[few], labels[few]))
    for ask in (lambda: rejector(images), lambda: rejector.threshold_):
        with pytest.raises(NotFitted):
            ask()


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_models_of_other_precisions(
    name: str, kind: torch.dtype, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    other = copy.deepcopy(net).to(kind)
    settings = GOOD.get(name, {})
    rejector = REJECTORS[name].build(other, **settings).fit(digits[0][FIT], digits[1][FIT])
    learned = [t.dtype for t in rejector.learned().values() if t.is_floating_point()]
    assert not {torch.float16, torch.bfloat16} & set(learned)
    named = rejector(digits[0][HELD].to(kind))[:, :10].argmax(1)
    assert (named == digits[1][HELD]).double().mean() > 0.8


def test_arrays_of_any_layout(
    net: nn.Module, digits: tuple[Tensor, Tensor], refusal: Refusal
) -> None:
    images, labels = digits[0][:200].numpy(), digits[1][:200].numpy()
    plain = REJECTORS["nr"].build(net, gamma=0.1).fit(images, labels)(digits[0][:9])
    turned = np.ascontiguousarray(images[:, :, ::-1])[:, :, ::-1]  # strides below 0
    swapped = images.astype(">f4")
    for other, marks in (
        (turned, labels.astype(np.uint16)),
        (swapped, labels.astype(">i8")),
        (images.astype(np.float64), labels.tolist()),
    ):
        again = REJECTORS["nr"].build(net, gamma=0.1).fit(other, marks)
        assert torch.equal(again(digits[0][:9]), plain)
    build = REJECTORS["msp"].build
    assert "got a list" in refusal(lambda: build(net).fit(images.tolist(), labels))
    assert "got >i8" in refusal(lambda: build(net).fit(images.astype(">i8"), labels))


def test_a_model_that_gives_more_than_scores_is_refused(
    name: str, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, inputs: Tensor) -> tuple[Tensor, int]:
            return self.net(inputs), 0

    layers: dict[str, dict[str, Any]] = {
        "nr": {"layer": "net.second"},
        "dnr": {"layers": ("net.second",)},
    }
    rejector = REJECTORS[name].build(Two().eval(), **layers.get(name, {}))
    with pytest.raises(BrokenContract, match="a tuple: wrap it"):
        rejector.fit(digits[0][:200], digits[1][:200])


def test_a_model_is_the_same_however_its_code_was_imported(
    digits: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import torch
from torch import nn

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(64, 16), nn.Linear(16, 10)

    def forward(self, inputs):
        return self.second(self.first(inputs.flatten(1)).relu())

def make():
    return Own().eval()
"""
    (tmp_path / "imported_net.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    imported = __import__("imported_net").make()
    folder = REJECTORS["msp"].build(imported).fit(digits[0][:200], digits[1][:200]).save(tmp_path)
    named = load_model(f"{tmp_path / 'imported_net.py'}:make").model
    assert torch.equal(load(folder, named)(digits[0][:9]), load(folder, imported)(digits[0][:9]))
    (tmp_path / "changed_net.py").write_text(code.replace("relu", "sigmoid"))
    with pytest.raises(ValueError, match="fitted on a model whose hash"):
        load(folder, load_model(f"{tmp_path / 'changed_net.py'}:make").model)


def test_the_relaxed_twin_is_around_the_relaxed_model(
    name: str, fitted: Fitted, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    class Masked(nn.Sequential):
        def relaxed(self) -> nn.Module:
            return copy.deepcopy(nn.Sequential(*self.children())).eval()

    rejector = twin(fitted(name))
    assert rejector.relaxed() is None
    masked = Masked(net).eval()
    layers: dict[str, dict[str, Any]] = {
        "nr": {"layer": "0.second"},
        "dnr": {"layers": ("0.first", "0.second")},
    }
    outer = REJECTORS[name].build(masked, **layers.get(name, {}))
    outer.fit(digits[0][:200], digits[1][:200])
    relaxed = outer.relaxed()
    assert relaxed is not None
    assert relaxed.model is not masked
    assert outer.model is masked
    assert torch.equal(relaxed(digits[0][:5]), outer(digits[0][:5]))


def test_the_table_says_what_it_holds(name: str) -> None:
    spec = REJECTORS[name]
    assert isinstance(spec, RejectorSpec)
    assert spec.summary.endswith(".")
    assert spec.source
    assert {"threshold", "false_rejection", "batch_size"} <= set(spec.knobs)
    assert "model" not in spec.knobs
    assert rejector_named(name) is spec


def test_unknown_rejectors_are_refused(refusal: Refusal) -> None:
    assert "did you mean 'dnr'" in refusal(lambda: rejector_named("dnn"))


class Brightness(Rejector):
    """A rejector by a score: dark images are like those of the fit."""

    name = "brightness"
    gives = "logits"

    def __init__(self, model: nn.Module, *, threshold: float | None = None) -> None:
        share = 0.05 if threshold is None else None
        super().__init__(model, threshold=threshold, false_rejection=share, batch_size=50)

    def _learn(self, images: ImageSet, labels: Tensor, classes: int) -> None:
        self.seen = (len(images), len(labels), classes)

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        return self.model(inputs), -100 * inputs.flatten(1).mean(1)


def test_a_rejector_by_a_score(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits[0][:500], digits[1][:500]
    rejector = Brightness(net).fit(images, labels)
    kept = calibration_mask(labels)
    assert rejector.seen == (int((~kept).sum()), int((~kept).sum()), 10)
    stored = images[kept]
    scores = rejector(stored)
    rejected = scores.argmax(1) == 10
    assert int(rejected.sum()) == int(0.05 * len(stored)) > 0
    assert torch.equal(rejected, rejector.acceptance(stored) < rejector.threshold_)
    assert torch.equal(scores[:, :10], net(stored))
    # one standard deviation of the score is one logit
    spread = rejector.acceptance(images[~kept]).std()
    gap = (rejector.threshold_ - rejector.acceptance(stored)) / spread
    assert torch.allclose(scores[:, 10] - scores[:, :10].amax(1), gap, atol=1e-3)
    assert Brightness(net, threshold=-30.0).fit(images, labels).threshold_ == -30.0
