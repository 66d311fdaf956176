"""Shards that another machine attacked: the same records, and images that nobody changed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from epsball.errors import InvalidInput
from epsball.evaluation import distributed
from epsball.types import Dataset


def test_reads_of_shared_images_are_copies() -> None:
    images = np.zeros((4, 1, 2, 2), np.float32)
    images.flags.writeable = False
    shared = Dataset("x", np.zeros(4, np.int64), ("a",), (1, 2, 2), lambda rows: images[rows])
    copy = distributed._copying(shared)
    torch.from_numpy(copy.read(np.arange(2))).add_(1)
    assert (images == 0).all()


def test_a_failed_shard_is_named_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="shard 3 failed .RuntimeError: no.; the same command"):
        distributed._write(tmp_path, 3, RuntimeError("no"))
    assert not list(tmp_path.iterdir())


def test_records_are_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def note(file: Path, content: bytes) -> Path:
        order.append(file.relative_to(tmp_path).as_posix())
        return file

    monkeypatch.setattr(distributed, "write_bytes", note)
    files = [("records/00000-x.json", b"{}"), ("records/00000-x.parquet", b"PAR1")]
    distributed._write(tmp_path, 0, ({"forwards": 3}, files))
    assert order[-1].endswith(".parquet")
