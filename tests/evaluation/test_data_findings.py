"""Doubts about the data: each is raised where it is deserved, and its remedy works."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.evaluation.about_data import ABOUT_DATA
from torch import Tensor, nn

from epsball import audit
from epsball.evaluation.checks.before import check_chance
from epsball.evaluation.checks.class_order import check_class_order
from epsball.evaluation.result import Audit


class Coded(nn.Module):
    """Right on every image: each class has a pattern of its own, in the order of `order`."""

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.codes = nn.Parameter(codes.flatten(1) * 2 - 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs.flatten(1) - 0.5) @ self.codes.T


def _coded(classes: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand((classes, 1, 8, 8), generator=generator) > 0.5).float()


def _images(codes: Tensor, each: int) -> tuple[Tensor, Tensor]:
    labels = torch.arange(len(codes)).repeat(each)
    return 0.25 + 0.5 * codes[labels], labels


def _run(model: object, data: Any, **options: Any) -> Audit:
    return audit(model, data, **{"attacks": ["noise"], "eps": ["1/255"]} | options)  # type: ignore[arg-type]  # any classifier


def _codes(audited: Audit) -> set[str]:
    return {finding.code for finding in audited.findings}


def _folder(root: Path, codes: Tensor, names: list[str], each: int = 2) -> Path:
    for name, code in zip(names, codes, strict=True):
        (root / name).mkdir(parents=True)
        for number in range(each):
            pixels = (60 + 120 * code[0]).to(torch.uint8).numpy()
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def _accuracy(audited: Audit) -> float | None:
    return audited.summary["clean"] and float(audited.summary["clean"]["accuracy"])


@pytest.mark.parametrize("step", [1, -1])
def test_labels_moved_by_one_are_told_and_the_offset_mends_it(step: int) -> None:
    codes = _coded(12)
    images, labels = _images(codes[1:-1], 8)
    wrong = labels + 1 - step
    audited = _run(Coded(codes).eval(), (images, wrong))
    (result,) = [finding for finding in audited.findings if finding.code == "class-order"]
    assert result.severity == "blocking"
    assert audited.headline is None
    assert f"add --label-offset {step}" in result.message
    assert "would be 100.0%" in result.message
    mended = _run(Coded(codes).eval(), (images, wrong), label_offset=step)
    assert _accuracy(mended) == 1.0
    assert "class-order" not in _codes(mended)


def test_a_model_in_the_order_of_text_is_told_and_a_list_mends_it(tmp_path: Path) -> None:
    names = [str(number) for number in range(24)]
    codes = _coded(24)
    by_text = torch.tensor([int(name) for name in sorted(names)])
    root = _folder(tmp_path / "images", codes, names, each=4)
    model = Coded(codes[by_text]).eval()
    audited = _run(model, f"folder:{root}")
    assert {"class-order", "class-order-assumed"} <= _codes(audited)
    result = next(finding for finding in audited.findings if finding.code == "class-order")
    assert "class names sorted as text (0, 1, 10, 11 ...)" in result.message
    assert audited.headline is None
    (tmp_path / "list.txt").write_text("\n".join(sorted(names)))
    assert _accuracy(_run(model, f"folder:{root}", classes=tmp_path / "list.txt")) == 1.0
    (root / "classes.txt").write_text("\n".join(sorted(names)))
    assert _accuracy(_run(model, f"folder:{root}")) == 1.0


@pytest.mark.parametrize("pad", [0, 3])
def test_folders_that_are_numbers_are_those_classes(tmp_path: Path, pad: int) -> None:
    codes = _coded(24)
    some = [2, 3, 11, 20]
    root = _folder(tmp_path, codes[some], [f"{number:0{pad}d}" for number in some])
    assert _accuracy(_run(Coded(codes).eval(), f"folder:{root}")) == 1.0


@given(st.integers(4, 12), st.integers(0, 10**6))
@settings(deadline=None, max_examples=20)
def test_any_other_order_is_found_and_the_usual_one_is_not_doubted(classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.arange(40 * classes) % classes
    names = [f"c{number:02d}" for number in range(classes)]
    usual = np.where(random.random(len(labels)) < 0.6, labels, random.integers(0, classes))
    assert check_class_order(labels, usual, names, classes) == []
    guessed = random.integers(0, classes, len(labels))
    assert check_class_order(labels, guessed, names, classes) == []
    constant = np.zeros_like(labels)
    assert check_class_order(labels, constant, names, classes) == []
    other = random.permutation(classes)
    while np.mean(other == np.arange(classes)) > 0.5:
        other = random.permutation(classes)
    (findings,) = check_class_order(labels, other[usual], names, classes)
    assert findings.code == "class-order"
    assert findings.evidence["otherwise"] > findings.evidence["accuracy"]


def test_two_classes_exchanged_are_a_warning() -> None:
    labels = np.arange(1000) % 10
    other = np.array([0, 1, 2, 5, 4, 3, 6, 7, 8, 9])
    (findings,) = check_class_order(labels, other[labels], [str(n) for n in range(10)], 10)
    assert findings.severity == "warning"
    assert "3 as 5, 5 as 3" in findings.message


def test_one_image_a_class_shows_no_order() -> None:
    labels = np.arange(400)
    guessed = np.random.default_rng(0).permutation(400)
    assert check_class_order(labels, guessed, [str(n) for n in range(400)], 400) == []


def test_worse_than_guessing_blocks() -> None:
    codes = _coded(4)
    images, shown = _images(codes, 20)
    others = torch.randint(1, 4, (80,), generator=torch.Generator().manual_seed(0))
    turned = _run(Coded(codes).eval(), (images, (shown + others) % 4))
    assert "below-chance" in _codes(turned)
    assert turned.headline is None
    assert check_chance(20, 80, 4)[0].code == "near-chance"
    assert check_chance(5, 80, 4)[0].severity == "blocking"
    assert check_chance(60, 80, 4) == []


@given(st.sampled_from([1, 2, 4, 16]), st.sampled_from(["uint8", "int64", "float32"]))
@settings(deadline=None, max_examples=12)
def test_images_scaled_twice_block(top: int, dtype: str) -> None:
    codes = _coded(5)
    images, labels = _images(codes, 4)
    levels = (images * top).round()
    pixels = levels.numpy().astype(dtype) if dtype != "float32" else (levels / 255).numpy()
    audited = _run(Coded(codes).eval(), (pixels, labels))
    assert "images-nearly-black" in _codes(audited)
    assert audited.headline is None
    result = next(finding for finding in audited.findings if finding.code == "images-nearly-black")
    assert "divide by the largest value" in result.remedy
    mended = pixels.astype(np.float32) / pixels.max()
    assert "images-nearly-black" not in _codes(_run(Coded(codes).eval(), (mended, labels)))


def test_classes_are_matched_by_the_names_that_the_model_knows(tmp_path: Path) -> None:
    codes = _coded(6)
    model = Coded(codes).eval()
    model.class_names = ("Great White Shark, white_shark", "hen", "cat", "dog", "elk", "fox")  # type: ignore[assignment]  # torch takes any
    root = _folder(tmp_path, codes[[3, 0, 5]], ["dog", "white shark", "fox"])
    audited = _run(model, f"folder:{root}")
    assert "classes-matched" in _codes(audited)
    assert _accuracy(audited) == 1.0
    assert audited.summary["per_class"][0]["name"].startswith("Great White")


def test_every_finding_about_data_is_asserted_above() -> None:
    here = Path(__file__)
    files = (here, here.with_name("test_meeting.py"), *here.parent.glob("checks/test_*.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [code for code in sorted(ABOUT_DATA) if f'"{code}"' not in text] == []
