from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.evaluation.audit import audit
from epsball.workflows.kinds import label_kinds

WEIGHTS = torch.randn(10, 784, generator=torch.Generator().manual_seed(0)) / 20


def model(images: Tensor) -> Tensor:
    return images.flatten(1) @ WEIGHTS.T


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kinds") / "run"
    audit(
        model, "digits", attacks=["fgsm"], eps=[0.05, 0.3], limit=60, micro_batch=60,
        precision="float32", full_budget=True, out=out,
    )  # fmt: skip
    return out


def test_every_record_has_a_kind_and_counts_add_up(run: Path) -> None:
    result = label_kinds(run)
    assert result.related == "confusion"
    table = pl.read_parquet(result.files[0])
    assert len(table) == 120
    assert table["kind"].null_count() == 0
    counts = result.shares.group_by("eps").agg(pl.col("count").sum())
    assert counts["count"].to_list() == [60, 60]
    shares = result.shares.group_by("eps").agg(pl.col("share").sum())
    assert all(abs(total - 1) < 1e-9 for total in shares["share"])
    matrix = pl.read_csv(result.files[1])
    right = table.filter((pl.col("label") == pl.col("clean_prediction")) & (pl.col("eps") > 0.1))
    assert matrix.filter(pl.col("eps") > 0.1)["images"].sum() == len(right)


def test_a_hierarchy_file_makes_relatives(run: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree.tsv"
    tree.write_text("".join(f"{digit}\tdigits\n" for digit in range(10)))
    kinds = label_kinds(run, hierarchy=str(tree)).shares["kind"].unique().to_list()
    assert "co-natural" in kinds  # all digits are related
    assert "true" not in kinds
    with pytest.raises(InvalidInput, match="1000 classes of ImageNet, got 10"):
        label_kinds(run, hierarchy="wordnet")


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        label_kinds(tmp_path)
