import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from epsball.data import load_data

Refusal = Callable[..., str]
BYTES = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 5), dtype=np.uint8)
LABELS = np.array([0, 2, 1, 2])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.npz"


def test_missing_file_is_named(tmp_path: Path, refusal: Refusal) -> None:
    assert f"{tmp_path}/no.npz" in refusal(load_data, f"npz:{tmp_path}/no.npz")
    assert str(tmp_path) in refusal(load_data, f"npz:{tmp_path}")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", pickle.dumps([1, 2])])
def test_other_files_are_refused(content: bytes, file: Path, refusal: Refusal) -> None:
    file.write_bytes(content)
    assert f"{file} is damaged, no npz file" in refusal(load_data, f"npz:{file}")


def test_single_array_is_refused(file: Path, refusal: Refusal) -> None:
    stream = io.BytesIO()
    np.save(stream, BYTES)
    file.write_bytes(stream.getvalue())
    assert "holds one array" in refusal(load_data, f"npz:{file}")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_truncated_file_is_refused_wherever_it_ends(
    save: Callable[..., None], file: Path, refusal: Refusal
) -> None:
    save(file, images=BYTES, labels=LABELS)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert str(file) in refusal(load_data, f"npz:{file}")


def test_flipped_bits_never_pass_unseen(file: Path, refusal: Refusal) -> None:
    np.savez(file, images=BYTES, labels=LABELS)
    whole = file.read_bytes()
    start = whole.index(BYTES.tobytes())
    for place in range(start, start + BYTES.size, 37):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        file.write_bytes(damaged)
        assert "CRC" in refusal(load_data, f"npz:{file}")
