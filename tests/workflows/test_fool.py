import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from epsball.cli.app import app
from epsball.errors import InvalidInput
from epsball.workflows.fool import fool

WEIGHTS = torch.randn(10, 784, generator=torch.Generator().manual_seed(0))


def model(images: Tensor) -> Tensor:
    return images.flatten(1) @ WEIGHTS.T


def test_the_table_says_what_the_model_says_of_the_files(tmp_path: Path) -> None:
    fooling = fool(model, ["3", "7"], out=tmp_path / "out", data="digits")
    assert fooling.reached == 2
    with (tmp_path / "out" / "fooling.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["class_name"] for row in rows] == ["3", "7"]
    for row in rows:
        with Image.open(tmp_path / "out" / row["file"]) as file:
            pixels = np.asarray(file)
        scores = model(torch.from_numpy(pixels.copy()).float()[None, None] / 255)
        sure = float(scores.double().softmax(1)[0, int(row["class"])])
        assert abs(sure - float(row["confidence"])) < 1e-5
        assert sure >= 0.99
    with Image.open(tmp_path / "out" / "sheet.png") as sheet:
        assert sheet.width > 200


def test_the_search_starts_at_an_image_of_any_size(tmp_path: Path) -> None:
    start = tmp_path / "start.png"
    Image.new("CMYK", (60, 40), (0, 255, 255, 0)).convert("RGB").save(start)
    fooling = fool(model, ["0"], out=tmp_path / "out", data="digits", start=str(start), steps=1)
    assert abs(float(fooling.fooling.images.mean()) - 76 / 255) < 0.03  # the grey of pure red


@pytest.mark.parametrize(
    ("classes", "given", "message"),
    [
        (["11"], {}, "unknown class '11'"),
        ([], {}, "name at least one class"),
        (["1"], {"start": "none.png"}, "no file at none.png"),
        (["1"], {"by": "guessing"}, "by must be gradient or evolution"),
        (["1"], {"confidence": 2.0}, "confidence must lie between 0 and 1"),
    ],
)
def test_bad_input_writes_nothing(
    tmp_path: Path, classes: list[str], given: dict[str, str], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        fool(model, classes, out=tmp_path / "out", **({"data": "digits"} | given))  # type: ignore[arg-type]  # that is the test
    assert not (tmp_path / "out").exists()


def test_a_directory_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(InvalidInput, match="is there already"):
        fool(model, ["1"], out=tmp_path, data="digits")


def test_the_command_names_the_sheet(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [
        "fool",
        "zoo:base-cnn-robust",
        "--class",
        "1",
        "--start",
        "noise",
        "--out",
        str(out),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "1 of 1 images" in result.output.replace("\n", " ")
