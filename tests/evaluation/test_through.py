"""Attacked images after a transformation: what it undoes, counted exactly."""

from pathlib import Path

import polars as pl
import pytest
import torch
from torch import nn

from epsball import audit
from epsball.errors import InvalidInput
from epsball.evaluation.records.through import transform_named
from epsball.report import write_report

IMAGES = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2


class Brightness(nn.Module):
    """Two classes: the first pixel above 0.5, or not. Whatever rounds it away undoes an attack."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        first = inputs[:, 0, 0, 0]
        return torch.stack([0.5 - first, first - 0.5], dim=1)


def _labels(images: torch.Tensor) -> torch.Tensor:
    return (images[:, 0, 0, 0] > 0.5).long()


def _run(through: str | None, out: Path | None = None) -> pl.DataFrame:
    report = audit(
        Brightness().eval(), (IMAGES, _labels(IMAGES)), attacks=["fgsm"], eps=[0.2], out=out,
        precision="float32", micro_batch=5, through=through,
    )  # fmt: skip
    return report.records


def test_what_one_bit_undoes_is_counted() -> None:
    records = _run("bit-depth:bits=1")
    first = IMAGES[:, 0, 0, 0]
    moved = first + 0.2 * torch.where(first > 0.5, -1.0, 1.0)
    fooled = (moved > 0.5) != (first > 0.5)
    assert records["safe"].to_list() == (~fooled).tolist()
    # one bit keeps the side of 0.5 on which a pixel lies: nothing is undone, nothing breaks
    assert records["clean_through"].to_list() == [True] * len(IMAGES)
    assert records["survives_through"].drop_nulls().to_list() == [True] * int(fooled.sum())


def test_a_median_that_looks_at_the_neighbours_undoes_some() -> None:
    labels = _labels(IMAGES)
    labels[:3] = 1 - labels[:3]  # wrong when clean, and fooled: they do not count
    report = audit(
        Brightness().eval(), (IMAGES, labels), attacks=["fgsm"], eps=[0.2],
        precision="float32", through="smoothing:kernel=3,kind=median",
    )  # fmt: skip
    (row,) = report.summary["results"]
    passed = transform_named("smoothing:kernel=3,kind=median", 0)(IMAGES, torch.arange(len(IMAGES)))
    assert row["clean_through"] == int((_labels(passed) == labels).sum()) / len(IMAGES)
    right = pl.col("clean_prediction") == pl.col("label")
    assert report.records.filter(~right)["survives_through"].drop_nulls().len() > 0
    records = report.records.filter(right & ~pl.col("safe"))
    fooling = records["survives_through"].to_list()
    assert row["destruction_rate"] == pytest.approx(1 - fooling.count(True) / len(fooling))
    assert 0 < row["destruction_rate"] < 1


def test_a_photograph_depends_on_the_image_alone() -> None:
    pytest.importorskip("kornia")
    transform, positions = transform_named("camera:severity=4", 3), torch.arange(len(IMAGES)) + 40
    whole = transform(IMAGES, positions)
    assert torch.equal(transform(IMAGES[5:7], positions[5:7]), whole[5:7])
    assert not torch.equal(transform_named("camera:severity=4", 4)(IMAGES, positions), whole)
    assert torch.equal((whole * 255).round() / 255, whole)


def test_a_run_is_continued_with_the_same_step_only(tmp_path: Path) -> None:
    _run("bit-depth:bits=1", tmp_path / "run")
    _run("bit-depth:bits=1", tmp_path / "run")
    with pytest.raises(InvalidInput, match="through"):
        _run("bit-depth:bits=2", tmp_path / "run")
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "Through bit-depth:bits=1" in page
    assert "destruction rate" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("camra", "did you mean 'camera'"),
        ("camera:severity=6", "severity must be 1 to 5, got 6"),
        ("random-resizing", "is random and takes no seed"),
    ],
)
def test_what_cannot_be_passed_is_refused_and_nothing_written(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=message):
        _run(text, tmp_path / "run")
    assert not (tmp_path / "run").exists()
