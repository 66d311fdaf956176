import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from epsball.data import load_data

Refusal = Callable[..., str]
ARCHIVE = "imagenet_sample_224.npz"
LABELS, WNIDS = np.array([0, 2, 1]), np.array(["n01", "n03", "n02"])


def _jpeg(level: int, side: int = 224) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (level, 0, 255)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def _put(shelf: Path, parts: list[bytes], **changed: object) -> Path:
    folder = shelf / "imagenet_sample"
    folder.mkdir(exist_ok=True)
    arrays = {
        "jpeg": np.frombuffer(b"".join(parts), np.uint8),
        "offsets": np.cumsum([0, *map(len, parts)]),
        "labels": LABELS,
        "wnids": WNIDS,
        **changed,
    }
    kept = {key: np.asarray(array) for key, array in arrays.items() if array is not None}
    np.savez(folder / ARCHIVE, allow_pickle=False, **kept)
    (folder / "class_names.txt").write_text("crane\nhen\ncrane\n", encoding="utf-8")
    return folder


@pytest.fixture
def parts() -> list[bytes]:
    return [_jpeg(level) for level in (0, 100, 200)]


def test_images_are_decoded_when_read(shelf: Path, parts: list[bytes]) -> None:
    _put(shelf, parts)
    sample = load_data("imagenet-sample")
    pixels = sample.read(np.array([2, 0]))
    assert pixels.shape == (2, 3, 224, 224)
    assert pixels.dtype == np.uint8
    assert abs(pixels.mean((2, 3)) - [[200, 0, 255], [0, 0, 255]]).max() < 2
    assert sample.labels.tolist() == LABELS.tolist()


def test_shared_names_are_told_apart(shelf: Path, parts: list[bytes]) -> None:
    _put(shelf, parts)
    assert load_data("imagenet-sample").class_names == ("crane (n01)", "hen", "crane (n03)")


def test_absent_sample_says_how_to_make_one(shelf: Path, refusal: Refusal) -> None:
    message = refusal(load_data, "imagenet-sample")
    wanted = (str(shelf), "cache", "no publisher", "folder:PATH@224", ARCHIVE, "class_names.txt")
    assert all(part in message for part in wanted)


def test_it_has_no_train_split(shelf: Path, parts: list[bytes], refusal: Refusal) -> None:
    _put(shelf, parts)
    assert "no train split" in refusal(load_data, "imagenet-sample", split="train")


def test_damaged_image_is_named(shelf: Path, parts: list[bytes], refusal: Refusal) -> None:
    parts[1] = parts[1][: len(parts[1]) // 2]
    _put(shelf, parts)
    sample = load_data("imagenet-sample")
    sample.read(np.array([0, 2]))
    assert "image 1 of" in refusal(sample.read, np.arange(3))


def test_image_of_another_size_is_named(shelf: Path, parts: list[bytes], refusal: Refusal) -> None:
    parts[2] = _jpeg(0, side=200)
    _put(shelf, parts)
    assert "image 2 of" in refusal(load_data("imagenet-sample").read, np.arange(3))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": None}, "lacks labels, found jpeg, offsets, wnids"),
        ({"labels": np.array([0, 1, 3])}, "labels run from 0 to 3"),
        ({"labels": np.array([0, 1, -1])}, "labels run from -1 to 1"),
        ({"labels": np.array([0, 1])}, "found 2 and 3 for 3"),
        ({"wnids": WNIDS[:2]}, "found 3 and 2 for 3"),
        ({"offsets": np.array([0, 10])}, "offsets must rise"),
        ({"offsets": np.array([], np.int64)}, "offsets must rise"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    changed: dict[str, object], message: str, shelf: Path, parts: list[bytes], refusal: Refusal
) -> None:
    _put(shelf, parts, **changed)
    assert message in refusal(load_data, "imagenet-sample")


def test_overlapping_images_are_refused(shelf: Path, parts: list[bytes], refusal: Refusal) -> None:
    total = sum(map(len, parts))
    for offsets in ([0, 20, 10, total], [0, 20, 20, total]):
        _put(shelf, parts, offsets=np.array(offsets))
        assert "offsets must rise" in refusal(load_data, "imagenet-sample")


def test_truncated_sample_is_refused(shelf: Path, parts: list[bytes], refusal: Refusal) -> None:
    file = _put(shelf, parts) / ARCHIVE
    whole = file.read_bytes()
    for length in range(0, len(whole), len(whole) // 10):
        file.write_bytes(whole[:length])
        assert str(file) in refusal(load_data, "imagenet-sample")


def test_missing_names_are_asked_for(shelf: Path, parts: list[bytes], refusal: Refusal) -> None:
    (_put(shelf, parts) / "class_names.txt").unlink()
    assert "one class name a line" in refusal(load_data, "imagenet-sample")
