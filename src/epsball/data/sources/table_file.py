"""Paths and labels of the user's own, from one table: CSV, TSV or Parquet."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from epsball.data.objects.rows import IMAGES, key_among
from epsball.data.objects.take import from_object
from epsball.data.sources.folder_tree import TEST, TRAIN
from epsball.data.spec import Split
from epsball.errors import InvalidInput
from epsball.types import Dataset

if TYPE_CHECKING:
    import polars as pl

ENDINGS = (".csv", ".tsv", ".parquet")
_SPLIT = "split"
_NAMES: dict[Split, tuple[str, ...]] = {"train": TRAIN, "test": TEST}


def load(path: str, split: Split) -> Dataset:
    """Load the images that a table lists.

    Args:
        path: the table, with a column of paths (or of encoded images) and one of labels, numbers or
            names, named as for a data frame (see `from_object`). Paths are relative to the table's
            folder, or else to the current one. Where it has a column `split`, only the rows of the
            split are taken.
        split: "train" or "test".

    Returns:
        The data set; images are read when they are needed.

    Raises:
        InvalidInput: the table is missing or damaged, lacks a column, has no row of the split, or
            an image does not decode.
    """
    file = Path(path).expanduser()
    frame = _of_split(_read(file), split, file)
    images = key_among(frame.columns, IMAGES)
    listed = [] if images is None else frame[images].to_list()
    if images and isinstance(listed[0], str) and (file.parent / listed[0]).is_file():
        paths = [str(file.parent / str(one)) for one in listed]
        frame = frame.with_columns(type(frame[images])(images, paths))
    return replace(from_object(frame), name=f"table:{path}")


def _read(file: Path) -> "pl.DataFrame":
    import polars as pl
    from polars.exceptions import PolarsError

    if file.suffix.lower() not in ENDINGS:
        raise InvalidInput(f"table:{file} must end in {', '.join(ENDINGS)}: rename it")
    if not file.is_file():
        raise InvalidInput(f"table:{file} must be a file, found none there: check the path")
    try:
        if file.suffix.lower() == ".parquet":
            return pl.read_parquet(file)
        return pl.read_csv(file, separator="\t" if file.suffix.lower() == ".tsv" else ",")
    except (PolarsError, OSError) as error:
        line = str(error).strip().splitlines()[0]
        raise InvalidInput(f"table:{file} cannot be read ({line}): save it again") from error


def _of_split(frame: "pl.DataFrame", split: Split, file: Path) -> "pl.DataFrame":
    """Return the rows of a split; all where the table knows none."""
    if not len(frame):
        raise InvalidInput(f"table:{file} must have at least one row, found none")
    if _SPLIT not in frame.columns:
        return frame
    chosen = frame.filter(frame[_SPLIT].cast(str).str.to_lowercase().is_in(_NAMES[split]))
    if not len(chosen):
        known = ", ".join(map(str, frame[_SPLIT].unique().sort().to_list()[:5]))
        raise InvalidInput(
            f"table:{file} has no row whose split is one of {', '.join(_NAMES[split])}; found "
            f"{known}: rename these"
        )
    return chosen
