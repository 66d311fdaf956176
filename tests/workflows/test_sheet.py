"""A sheet is made, photographed by a rendered telephone, and read back."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from epsball.cli.app import app
from epsball.data import load_data, to_unit
from epsball.errors import InvalidInput
from epsball.types import ModelInfo
from epsball.workflows.photographs import score_photographs
from epsball.workflows.sheet import make_sheet

WIDE = 0.35  # eps at which a linear model of digits is fooled far beyond what paper does


class Nearest(nn.Module):
    """The class whose mean digit is nearest: simple, and right about digits."""

    means: Tensor

    def __init__(self) -> None:
        super().__init__()
        digits = load_data("digits", split="train")
        images, labels = to_unit(digits.read(np.arange(len(digits)))).flatten(1), digits.labels
        means = torch.stack([images[labels == one].mean(0) for one in range(10)])
        self.register_buffer("means", means)

    def forward(self, images: Tensor) -> Tensor:
        return -(images.flatten(1)[:, None] - self.means).square().sum(2)


MODEL = Nearest().eval()


def shoot(page: Path, file: Path) -> None:
    pixels = np.asarray(Image.open(page).convert("RGB"))
    height, width = pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = np.array([[160, 130], [1380, 210], [1420, 1890], [190, 1840]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, seen)
    shot = cv2.warpPerspective(pixels, matrix, (1500, 2000), borderValue=(60, 50, 40))
    noise = np.random.default_rng(0).normal(0, 4, shot.shape)
    Image.fromarray(np.clip(shot + noise, 0, 255).astype(np.uint8)).save(file, quality=90)


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sheet") / "out"
    make_sheet(MODEL, "digits", out=out, eps=WIDE, count=4)
    return out


def test_photographs_of_large_perturbations_fool_the_model_still(
    sheet: Path, tmp_path: Path
) -> None:
    photographs = [tmp_path / f"{number}.jpg" for number in (1, 2)]
    for number, file in enumerate(photographs, start=1):
        shoot(sheet / f"page-{number}.png", file)
    report = score_photographs(sheet, photographs, model=MODEL, out=tmp_path / "out")
    assert (report.pairs, report.clean_right, report.destroyed) == (4, 4, 0)
    assert report.destruction_rate == 0
    with report.path.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["photographed"] for row in rows] == [row["prediction_of_the_file"] for row in rows]
    assert len(list((tmp_path / "out").glob("*-clean.png"))) == 4


class Rejecting(nn.Module):
    """Rejects every image."""

    info = ModelInfo(classes=10, rejects=True)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = MODEL(images)
        return torch.cat([scores, scores.amax(1, keepdim=True) + 1], dim=1)


def test_a_rejected_photograph_is_named_and_harmless(sheet: Path, tmp_path: Path) -> None:
    page = sheet / "page-1.png"
    report = score_photographs(sheet, [page], model=Rejecting().eval(), out=tmp_path / "out")
    assert (report.clean_right, report.destroyed) == (0, report.pairs)
    with report.path.open() as stream:
        assert {row["photographed"] for row in csv.DictReader(stream)} == {"reject"}


def test_a_photograph_without_markers_writes_nothing(sheet: Path, tmp_path: Path) -> None:
    file = tmp_path / "table.png"
    Image.new("RGB", (400, 300), "grey").save(file)
    with pytest.raises(InvalidInput, match="must show the four markers"):
        score_photographs(sheet, [file], model=MODEL, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_few_images_that_fool_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="40 images 0 are|2 pairs are wanted"):
        make_sheet(MODEL, "digits", out=tmp_path / "out", eps=1e-4, count=2)
    assert not (tmp_path / "out").exists()


def test_the_commands_refuse_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["photo", str(tmp_path), "a.jpg", "--out", str(tmp_path / "o")]
    )
    assert isinstance(result.exception, InvalidInput)
    assert "holds no sheet.json" in str(result.exception)
