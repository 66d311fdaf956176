"""A table of paths and labels: where its paths begin, its splits, and what is refused."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from epsball.data import load_data
from epsball.errors import InvalidInput


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Four grey images in a folder of their own, each of one brightness, and their table."""
    (tmp_path / "photos").mkdir()
    for number in range(4):
        image = np.full((6, 6), 50 * number, np.uint8)
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    paths = [f"photos/{number}.png" for number in range(4)]
    return pl.DataFrame({"path": paths, "label": ["hen", "cat", "hen", "cat"]})


def write(frame: pl.DataFrame, file: Path) -> str:
    match file.suffix:
        case ".parquet":
            frame.write_parquet(file)
        case ".tsv":
            frame.write_csv(file, separator="\t")
        case _:
            frame.write_csv(file)
    return f"table:{file}"


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.parquet"])
def test_every_kind_of_table(listed: pl.DataFrame, tmp_path: Path, name: str) -> None:
    data = load_data(write(listed, tmp_path / name))
    assert data.class_names == ("cat", "hen")
    assert data.labels.tolist() == [1, 0, 1, 0]
    assert data.read(np.array([0, 3])).mean((1, 2, 3)).tolist() == [0, 150]


def test_paths_begin_at_the_table_or_else_here(
    listed: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    here = load_data(write(listed, Path("lists/some.csv")))
    assert here.read(np.array([1])).mean() == 50
    spec = write(listed, tmp_path / "some.csv")
    monkeypatch.chdir(tmp_path / "lists")
    assert load_data(spec).read(np.array([2])).mean() == 100


def test_splits(listed: pl.DataFrame, tmp_path: Path) -> None:
    halves = pl.Series("split", ["train", "Val", "train", "Val"])
    spec = write(listed.with_columns(halves), tmp_path / "some.csv")
    assert load_data(spec).labels.tolist() == [0, 0]
    assert load_data(spec, split="train").read(np.array([1])).mean() == 100


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pl.DataFrame({"path": ["a.png"]}), "one of labels"),
        (pl.DataFrame({"path": [], "label": []}), "at least one row"),
        (pl.DataFrame({"path": ["a.png"], "label": [0], "split": [3]}), "found 3: rename"),
    ],
)
def test_refusals(tmp_path: Path, table: pl.DataFrame, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        load_data(write(table, tmp_path / "some.csv"))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="found none there"):
        load_data("table:nothere.csv")
    with pytest.raises(InvalidInput, match="must end in"):
        load_data("table:some.txt")
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_data(f"table:{tmp_path}/bad.parquet")
    with pytest.raises(InvalidInput, match=r"did you mean 'table:list\.csv'"):
        load_data("list.csv")
