"""An audit gives one number, whatever holds the model and the images: drawn forms of both."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.evaluation.conftest import CLASSES, sample_images
from tests.wrappers import WRAPPERS, wrapped
from torch import Tensor, nn

from epsball import audit
from epsball.errors import EpsballError
from epsball.evaluation.result import Audit

IMAGES, LABELS = sample_images(60)
DRAWN = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _run(model: Any, data: Any) -> Audit:
    return audit(
        model, data, attacks=["fgsm"], eps=[0.1], precision="float32", micro_batch=32, device="cpu"
    )


def _numbers(report: Audit) -> tuple[float, float]:
    (worst,) = report.summary["worst_case"]
    return report.summary["clean"]["accuracy"], worst["robust_accuracy"]


def _by_hand(model: nn.Module, images: Tensor) -> tuple[float, float]:
    """The same two numbers in float64, with a step of the gradient's sign."""
    exact = nn.Sequential(*model.children()).double()  # a copy would carry hooks
    points = (images.double() / 255).requires_grad_()
    logits = exact(points)
    (slope,) = torch.autograd.grad(nn.functional.cross_entropy(logits, LABELS), points)
    moved = (points + 0.1 * slope.sign()).clamp(0, 1)
    right = logits.argmax(1) == LABELS
    robust = right & (exact(moved).argmax(1) == LABELS)
    exact.float()
    return float(right.double().mean()), float(robust.double().mean())


def quietly(make: Callable[[nn.Module], Any]) -> Callable[[nn.Module], Any]:
    def run(model: nn.Module) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(model)

    return run


def _traced(model: nn.Module) -> Any:
    return torch.jit.trace(model, IMAGES[:3].float())  # type: ignore[no-untyped-call]


def _exported(model: nn.Module) -> Any:
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    return torch.export.export(model, (IMAGES[:3].float(),), dynamic_shapes=shapes).module()


GRAPHS: dict[str, Callable[[nn.Module], Any]] = {
    "traced": quietly(_traced),
    "scripted": quietly(torch.jit.script),
    "frozen": quietly(lambda model: torch.jit.freeze(_traced(model))),
    "exported": quietly(_exported),
    "fx": quietly(torch.fx.symbolic_trace),
    "data parallel": lambda model: nn.DataParallel(model).eval(),
    "averaged": lambda model: torch.optim.swa_utils.AveragedModel(model).eval(),
    "channels last": lambda model: model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("form", GRAPHS)
def test_every_form_of_a_network_gives_the_numbers_computed_by_hand(
    form: str, model: nn.Module
) -> None:
    expected = _by_hand(model, IMAGES)
    assert _numbers(_run(GRAPHS[form](model), (IMAGES, LABELS))) == pytest.approx(expected)


@DRAWN
@given(st.lists(st.sampled_from(sorted(set(WRAPPERS) - {"cached", "compiled"})), max_size=3))
def test_drawn_wrappers_give_the_numbers_computed_by_hand(
    model: nn.Module, names: list[str]
) -> None:
    expected = _by_hand(model, IMAGES)
    assert _numbers(_run(wrapped(model, names), (IMAGES, LABELS))) == pytest.approx(expected)


@DRAWN
@given(
    st.sampled_from(["float16", "bfloat16", "float32", "float64"]),
    st.sampled_from(["uint8", "int64", "float16", "bfloat16", "float32", "float64"]),
)
def test_drawn_types_give_the_numbers_of_that_model(
    model: nn.Module, parameters: str, pixels: str
) -> None:
    torch.manual_seed(0)
    other = nn.Sequential(*model.children()).to(getattr(torch, parameters)).eval()
    try:
        kind = getattr(torch, pixels)
        images = IMAGES.to(kind) if kind in (torch.uint8, torch.int64) else (IMAGES / 255).to(kind)
        report = _run(other, (images, LABELS))
        rounded = _by_hand(other, IMAGES)
    finally:
        model.float()
    clean, robust = _numbers(report)
    coarse = "bfloat16" in (parameters, pixels)
    assert clean == pytest.approx(rounded[0], abs=2 / 60)
    assert robust == pytest.approx(rounded[1], abs=(8 if coarse else 3) / 60)
    assert not report.blocked


def _archive(images: np.ndarray[Any, Any], folder: Path) -> str:
    np.savez(folder / "data.npz", images=images, labels=LABELS.numpy())
    return f"npz:{folder / 'data.npz'}"


def _folder(folder: Path, names: list[str]) -> str:
    for number, (image, label) in enumerate(zip(IMAGES, LABELS.tolist(), strict=True)):
        place = folder / names[label]
        place.mkdir(exist_ok=True)
        Image.fromarray(image[0].numpy()).save(place / f"{number:03d}.png")
    return f"folder:{folder}"


LAYOUTS: dict[str, Callable[[Path], Any]] = {
    "tensors": lambda _: (IMAGES, LABELS),
    "channels last": lambda _: (IMAGES.permute(0, 2, 3, 1), LABELS),
    "without channels": lambda _: (IMAGES[:, 0].numpy(), LABELS.numpy()),
    "in the order of Fortran": lambda _: (np.asfortranarray(IMAGES.numpy()), LABELS.numpy()),
    "strided": lambda _: (IMAGES.repeat_interleave(2, dim=0)[::2], LABELS),
    "lists": lambda _: (list(IMAGES), LABELS.tolist()),
    "rows": lambda _: list(zip(IMAGES, LABELS.tolist(), strict=True)),
    "Pillow": lambda _: [
        (Image.fromarray(i[0].numpy()), n) for i, n in zip(IMAGES, LABELS.tolist(), strict=True)
    ],
    "loader": lambda _: torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(IMAGES, LABELS), batch_size=7
    ),
    "mappings": lambda _: [
        {"image": i, "label": n} for i, n in zip(IMAGES, LABELS.tolist(), strict=True)
    ],
    "npz": lambda folder: _archive(IMAGES.numpy(), folder),
    "npz channels last": lambda folder: _archive(IMAGES.permute(0, 2, 3, 1).numpy(), folder),
    "folder by number": lambda folder: _folder(folder, ["0", "1", "2", "3", "4"]),
    "folder by name": lambda folder: _folder(folder, ["ant", "bee", "cat", "dog", "elk"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_numbers_computed_by_hand(
    layout: str, model: nn.Module, tmp_path: Path
) -> None:
    expected = _by_hand(model, IMAGES)
    assert _numbers(_run(model, LAYOUTS[layout](tmp_path))) == pytest.approx(expected)


@DRAWN
@given(order=st.permutations(range(CLASSES)), form=st.sampled_from(["tensors", "folder"]))
def test_drawn_orders_are_right_refused_or_told(
    model: nn.Module, order: list[int], form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = _by_hand(model, IMAGES)
    names = [f"class {place}" for place in order]
    data: Any = (IMAGES, torch.tensor(order)[LABELS])
    if form == "folder":
        data = _folder(tmp_path_factory.mktemp("images"), names)
    try:
        report = _run(model, data)
    except EpsballError:
        return
    result = {finding.code for finding in report.findings}
    if not report.blocked and not result & {"class-order", "class-shares", "near-chance"}:
        assert _numbers(report) == pytest.approx(expected)
