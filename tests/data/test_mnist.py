import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from epsball.data import load_data
from epsball.data.sources import mnist

Refusal = Callable[..., str]
IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
PIXELS = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)
CLASSES = np.array([3, 1, 4, 1, 5, 9, 2], dtype=np.uint8)


def _idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Seven images and their labels, declared to be the published ones."""
    contents = {IMAGES: _idx(PIXELS), LABELS: _idx(CLASSES)}
    for name, content in contents.items():
        packed = gzip.compress(content, mtime=0)
        md5, sha256 = hashlib.md5(packed).hexdigest(), hashlib.sha256(content).hexdigest()
        monkeypatch.setitem(mnist.FILES, name, (md5, sha256))
    return contents


def _put(folder: Path, contents: dict[str, bytes], *, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / name).write_bytes(content)


def _check() -> None:
    loaded = load_data("mnist")
    assert loaded.shape == (1, 28, 28)
    assert loaded.labels.tolist() == CLASSES.tolist()
    rows = np.array([6, 0])
    assert (loaded.read(rows)[:, 0] == PIXELS[rows]).all()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["data", "cache"])
def test_files_are_found(place: str, packed: bool, shelf: Path, files: dict[str, bytes]) -> None:
    _put(shelf.parent / place / "mnist", files, packed=packed)
    _check()


def test_named_folder_goes_before_the_cache(shelf: Path, files: dict[str, bytes]) -> None:
    _put(shelf / "mnist", files)
    _put(shelf.parent / "cache" / "mnist", dict.fromkeys(files, b"not these"))
    _check()


def test_cache_is_used_without_the_variable(
    shelf: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EPSBALL_DATA")
    _put(shelf.parent / "cache" / "mnist", files)
    _check()


def test_variable_that_names_no_folder_is_refused(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.setenv("EPSBALL_DATA", str(shelf / "nowhere"))
    assert "EPSBALL_DATA must name a folder" in refusal(load_data, "mnist")


def test_recompressing_does_not_matter(shelf: Path, files: dict[str, bytes]) -> None:
    _put(shelf / "mnist", files)
    packed = gzip.compress(files[IMAGES], compresslevel=1, mtime=12345)
    (shelf / "mnist" / f"{IMAGES}.gz").write_bytes(packed)
    _check()


def test_other_content_is_refused(shelf: Path, files: dict[str, bytes], refusal: Refusal) -> None:
    other = bytearray(files[IMAGES])
    other[-1] ^= 1
    _put(shelf / "mnist", {**files, IMAGES: bytes(other)})
    message = refusal(load_data, "mnist")
    hashes = [hashlib.sha256(content).hexdigest() for content in (other, files[IMAGES])]
    assert all(part in message for part in (*hashes, f"{IMAGES}.gz", "delete it"))


@pytest.mark.parametrize("packed", [True, False])
def test_truncated_file_is_refused_wherever_it_ends(
    packed: bool, shelf: Path, files: dict[str, bytes], refusal: Refusal
) -> None:
    _put(shelf / "mnist", files, packed=packed)
    file = shelf / "mnist" / (f"{IMAGES}.gz" if packed else IMAGES)
    whole = file.read_bytes()
    for length in (*range(20), len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert IMAGES in refusal(load_data, "mnist")


def test_other_kind_of_idx_is_refused(
    shelf: Path, files: dict[str, bytes], refusal: Refusal
) -> None:
    floats = b"\0\0\x0d" + files[LABELS][3:]
    _put(shelf / "mnist", {**files, LABELS: floats})
    assert "not an IDX file of bytes" in refusal(load_data, "mnist")


def test_absent_files_are_downloaded_once(
    shelf: Path,
    files: dict[str, bytes],
    publisher: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, address = publisher
    _put(folder, files)
    monkeypatch.setattr(mnist, "MIRRORS", (f"{address}gone/", address))  # the first has nothing
    _check()
    assert f"{IMAGES}.gz" in capsys.readouterr().err  # the progress bar
    cached = shelf.parent / "cache" / "mnist"
    assert sorted(file.name for file in cached.iterdir()) == [f"{IMAGES}.gz", f"{LABELS}.gz"]
    for file in folder.iterdir():
        file.unlink()
    _check()


def test_download_with_another_hash_leaves_nothing(
    shelf: Path,
    files: dict[str, bytes],
    publisher: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    refusal: Refusal,
) -> None:
    folder, address = publisher
    _put(folder, dict.fromkeys(files, b"not these"))
    monkeypatch.setattr(mnist, "MIRRORS", (address,))
    message = refusal(load_data, "mnist")
    assert all(part in message for part in (f"{IMAGES}.gz", "MD5", mnist.FILES[IMAGES][0], address))
    assert list((shelf.parent / "cache" / "mnist").iterdir()) == []


def test_publisher_out_of_reach_is_named(shelf: Path, refusal: Refusal) -> None:
    message = refusal(load_data, "mnist")
    assert "could not be downloaded (http://127.0.0.1:9/" in message
    assert "folder mnist of $EPSBALL_DATA" in message


def test_cache_that_cannot_be_written_is_named(
    shelf: Path,
    publisher: tuple[Path, str],
    files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    refusal: Refusal,
) -> None:
    _put(publisher[0], files)
    monkeypatch.setattr(mnist, "MIRRORS", (publisher[1],))
    (shelf.parent / "cache").write_text("a file where the cache should be")
    assert "could not be downloaded" in refusal(load_data, "mnist")
