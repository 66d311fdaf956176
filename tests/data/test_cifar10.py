import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from epsball.data import load_data
from epsball.data.sources import cifar10

Refusal = Callable[..., str]
EACH = 4  # images a batch
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (5 * EACH, 32, 32, 3), dtype=np.uint8)
CLASSES = RANDOM.integers(0, 10, 5 * EACH, dtype=np.uint8)
BIN, PY = "cifar-10-batches-bin", "cifar-10-batches-py"
BATCHES = [f"data_batch_{number}" for number in range(1, 6)]


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare twenty images (train) and the first four (test) to be the published ones."""
    for split, count in (("train", 5 * EACH), ("test", EACH)):
        parts = (PIXELS[:count].tobytes(), CLASSES[:count].tobytes())
        hashes = tuple(hashlib.sha256(part).hexdigest() for part in parts)
        monkeypatch.setitem(cifar10.SHA256, split, hashes)


def _planes(rows: slice) -> NDArray[np.uint8]:
    return PIXELS[rows].transpose(0, 3, 1, 2).reshape(-1, 3072)


def _binary(rows: slice) -> bytes:
    return np.concatenate([CLASSES[rows, None], _planes(rows)], axis=1).tobytes()


def _python3(rows: slice) -> bytes:
    batch = {b"batch_label": b"x", b"labels": CLASSES[rows].tolist(), b"data": _planes(rows)}
    return pickle.dumps(batch, protocol=2)


def _python2(rows: slice) -> bytes:
    """Write opcodes as Python 2 did: short strings U, the pixels a long string T."""
    data = _planes(rows).tobytes()
    labels = b"".join(b"K" + bytes([label]) for label in CLASSES[rows])
    return b"".join(
        [
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x16training batch 1 of 5\x00q\x03",
            b"U\x06labelsq\x04]q\x05(" + labels + b"e",
            b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08",
            b"K\x00\x85U\x01b\x87Rq\x09(K\x01M\x10'M\x00\x0c\x86cnumpy\ndtype\nq\x0a",
            b"U\x02u1K\x00K\x01\x87R\x89T" + len(data).to_bytes(4, "little") + data + b"tb",
            b"U\tfilenamesq\x0b]q\x0cU\x05a.pngq\x0dau.",
        ]
    )


def _contents(encode: Callable[[slice], bytes], ending: str) -> dict[str, bytes]:
    train = {
        f"{name}{ending}": encode(slice(number * EACH, (number + 1) * EACH))
        for number, name in enumerate(BATCHES)
    }
    return train | {f"test_batch{ending}": encode(slice(0, EACH)), "batches.meta": b"names"}


def _archive(file: Path, contents: dict[str, bytes], folder: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as archive:
        for name, content in sorted(contents.items(), reverse=True):  # order must not matter
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _sheets(file: Path, count: int) -> None:
    """Two sheets of two rows and columns each at most, as lossless WebP."""
    file.parent.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, count, EACH):
        tiles = PIXELS[start : start + EACH].reshape(2, 2, 32, 32, 3).swapaxes(1, 2)
        stream = io.BytesIO()
        Image.fromarray(tiles.reshape(64, 64, 3)).save(stream, "WEBP", lossless=True)
        parts.append(stream.getvalue())
    webp = np.frombuffer(b"".join(parts), np.uint8)
    offsets = np.cumsum([0, *map(len, parts)])
    np.savez(file, webp=webp, offsets=offsets, labels=CLASSES[:count])


def _put(place: Path, form: str) -> None:
    if form == "sheets":
        _sheets(place / "test.npz", EACH)
        _sheets(place / "train.npz", 5 * EACH)
    elif form == BIN:
        for name, content in _contents(_binary, ".bin").items():
            (place / BIN).mkdir(parents=True, exist_ok=True)
            (place / BIN / name).write_bytes(content)
    elif form == cifar10.ARCHIVE:
        _archive(place / form, _contents(_binary, ".bin"), BIN)
    else:
        encode = _python3 if form.startswith("3") else _python2
        _archive(place / "cifar-10-python.tar.gz", _contents(encode, ""), PY)


def _check() -> None:
    for split, count in (("train", 5 * EACH), ("test", EACH)):
        loaded = load_data("cifar10", split=split)  # type: ignore[arg-type]  # a plain str here
        assert loaded.labels.tolist() == CLASSES[:count].tolist()
        pixels = loaded.read(np.arange(count))
        assert (pixels == PIXELS[:count].transpose(0, 3, 1, 2)).all()
        assert pixels.flags.c_contiguous
        assert (loaded.shape, len(loaded.class_names)) == ((3, 32, 32), 10)


@pytest.mark.parametrize("place", ["data", "cache"])
@pytest.mark.parametrize("form", ["sheets", BIN, cifar10.ARCHIVE, "2 python", "3 python"])
def test_every_form_gives_the_same_images(form: str, place: str, shelf: Path) -> None:
    _put(shelf.parent / place / "cifar10", form)
    _check()


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("sheets", "train.npz"),
        (cifar10.ARCHIVE, cifar10.ARCHIVE),
        ("2 python", "cifar-10-python.tar.gz"),
    ],
)
def test_truncated_file_is_refused_wherever_it_ends(
    form: str, name: str, shelf: Path, refusal: Refusal
) -> None:
    _put(shelf / "cifar10", form)
    file = shelf / "cifar10" / name
    whole = file.read_bytes()
    # an archive ends in padding and another file: without those the batches are still whole
    for length in range(0, round(0.9 * len(whole)), len(whole) // 20):
        file.write_bytes(whole[:length])
        assert str(file) in refusal(load_data, "cifar10", split="train")


@pytest.mark.parametrize("form", ["sheets", BIN, cifar10.ARCHIVE, "2 python"])
@pytest.mark.parametrize("number", [0, 1])
def test_other_content_is_refused(
    number: int, form: str, shelf: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    _put(shelf / "cifar10", form)
    hashes = list(cifar10.SHA256["test"])
    hashes[number] = "0" * 64
    monkeypatch.setitem(cifar10.SHA256, "test", tuple(hashes))
    message = refusal(load_data, "cifar10")
    assert all(part in message for part in ("pixels" if number == 0 else "labels", "0" * 64))


def test_missing_batch_is_refused(shelf: Path, refusal: Refusal) -> None:
    contents = _contents(_binary, ".bin")
    del contents["data_batch_3.bin"]
    _archive(shelf / "cifar10" / cifar10.ARCHIVE, contents, BIN)
    assert "data_batch_3.bin" in refusal(load_data, "cifar10", split="train")
    (shelf / "cifar10" / cifar10.ARCHIVE).unlink()
    (shelf / "cifar10" / BIN).mkdir()
    assert "data_batch_1.bin" in refusal(load_data, "cifar10", split="train")


def test_pickled_code_does_not_run(shelf: Path, refusal: Refusal) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(shelf / "owned"),)

    bait = pickle.dumps([Malicious(), {"labels": [1, 2]}], protocol=2)
    pickle.loads(bait)
    assert (shelf / "owned").exists()  # the bait works
    (shelf / "owned").rmdir()
    _archive(shelf / "cifar10" / "cifar-10-python.tar.gz", {"test_batch": bait}, PY)
    assert "cifar-10-python.tar.gz" in refusal(load_data, "cifar10")
    assert not (shelf / "owned").exists()


def test_pickled_code_beside_the_right_pixels_does_not_run(shelf: Path) -> None:
    command = f"cos\nmkdir\n(U{chr(len(str(shelf / 'owned')))}{shelf / 'owned'}tR0".encode()
    bait = _python2(slice(0, EACH))[:2] + command + _python2(slice(0, EACH))[2:]
    _archive(shelf / "cifar10" / "cifar-10-python.tar.gz", {"test_batch": bait}, PY)
    assert load_data("cifar10").labels.tolist() == CLASSES[:EACH].tolist()
    assert not (shelf / "owned").exists()


def test_absent_archive_is_downloaded(
    shelf: Path, publisher: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = publisher
    _archive(folder / cifar10.ARCHIVE, _contents(_binary, ".bin"), BIN)
    packed = (folder / cifar10.ARCHIVE).read_bytes()
    monkeypatch.setattr(cifar10, "URLS", (f"{address}{cifar10.ARCHIVE}",))
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(packed).hexdigest())
    _check()
    assert (shelf.parent / "cache" / "cifar10" / cifar10.ARCHIVE).read_bytes() == packed


def test_download_with_another_hash_leaves_nothing(
    shelf: Path, publisher: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    folder, address = publisher
    _archive(folder / cifar10.ARCHIVE, _contents(_binary, ".bin"), BIN)
    monkeypatch.setattr(cifar10, "URLS", (f"{address}{cifar10.ARCHIVE}",))
    assert cifar10.MD5 in refusal(load_data, "cifar10")
    assert list((shelf.parent / "cache" / "cifar10").iterdir()) == []
