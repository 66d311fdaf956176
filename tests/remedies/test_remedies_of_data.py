"""Refusals of data: their remedies work."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.remedies.case import Case, follow
from torch.utils.data import ConcatDataset, TensorDataset

from epsball import audit
from epsball.data import load_data

RANDOM = np.random.default_rng(0)
BYTES = RANDOM.integers(0, 256, (6, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(6) % 3


def _model(inputs: torch.Tensor) -> torch.Tensor:
    return inputs.flatten(1)[:, :3]


def _audit(data: Any, **given: Any) -> Any:
    return audit(_model, data, **{"attacks": ["noise"], "eps": ["8/255"]} | given)


def _npz(folder: Path, **arrays: Any) -> Any:
    np.savez(folder / "data.npz", **arrays)
    return load_data(f"npz:{folder / 'data.npz'}").read(np.arange(2))


def _folder(folder: Path, names: list[str], sizes: tuple[int, ...] = (8,)) -> Path:
    shutil.rmtree(folder / "images", ignore_errors=True)
    for place, name in enumerate(names):
        file = folder / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        side = sizes[place % len(sizes)]
        Image.fromarray(RANDOM.integers(0, 256, (side, side), dtype=np.uint8)).save(file)
    return folder / "images"


def _load(spec: str) -> Any:
    data = load_data(spec)
    return data.read(np.arange(len(data)))


def _make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _remove(place: Path) -> Path:
    place.rmdir() if place.is_dir() else place.unlink()
    return place


def _with_list(
    folder: Path, lines: str, names: tuple[str, ...] = ("ant/a.png", "bee/b.png")
) -> Any:
    root = _folder(folder, list(names))
    (root / "classes.txt").write_text(lines)
    return _load(f"folder:{root}")


def _joined(*first: str) -> Any:
    """Two data sets whose class 0 has one name each."""
    parts: list[Any] = [TensorDataset(torch.rand(6, 1, 8, 8), torch.arange(6) % 3) for _ in first]
    for part, name in zip(parts, first, strict=True):
        part.classes = [name, "cat", "dog"]
    return ConcatDataset(parts)


CASES = [
    Case(
        "levels as floats in an archive",
        lambda f: _npz(f, images=BYTES * 1.0, labels=LABELS),
        "divide by 255",
        lambda f: _npz(f, images=BYTES / 255, labels=LABELS),
    ),
    Case(
        "one-hot labels",
        lambda f: _npz(f, images=BYTES, labels=np.eye(3, dtype=int)[LABELS]),
        "take argmax(1)",
        lambda f: _npz(f, images=BYTES, labels=np.eye(3, dtype=int)[LABELS].argmax(1)),
    ),
    Case(
        "labels as floats",
        lambda f: _npz(f, images=BYTES, labels=LABELS * 1.0),
        "save them as int64",
        lambda f: _npz(f, images=BYTES, labels=(LABELS * 1.0).astype(np.int64)),
    ),
    Case(
        "labels from -1",
        lambda f: _npz(f, images=BYTES, labels=LABELS - 1),
        "count classes from 0",
        lambda f: _npz(f, images=BYTES, labels=LABELS),
    ),
    Case(
        "fewer labels than images",
        lambda f: _npz(f, images=BYTES, labels=LABELS[:5]),
        "save them together",
        lambda f: _npz(f, images=BYTES[:5], labels=LABELS[:5]),
    ),
    Case(
        "two axes that may be channels",
        lambda f: _npz(f, images=BYTES[:, :, :3, :1], labels=LABELS),
        "save (n, h, w) for greys",
        lambda f: _npz(f, images=BYTES[:, 0, :3, :1], labels=LABELS),
    ),
    Case(
        "four channels",
        lambda f: _npz(f, images=BYTES[:, [0] * 4], labels=LABELS),
        "leave out the transparency, images[:, :3]",
        lambda f: _npz(f, images=BYTES[:, [0] * 4][:, :3], labels=LABELS),
    ),
    Case(
        "no labels in the archive",
        lambda f: _npz(f, images=BYTES),
        "labels=...",
        lambda f: _npz(f, images=BYTES, labels=LABELS),
    ),
    Case(
        "too few class names",
        lambda f: _npz(f, images=BYTES, labels=LABELS, class_names=np.array(["a"])),
        "name every class",
        lambda f: _npz(f, images=BYTES, labels=LABELS, class_names=np.array(["a", "b", "c"])),
    ),
    Case(
        "a path without its kind",
        lambda f: load_data(str(_folder(f, ["ant/a.png", "bee/b.png"]))),
        "did you mean 'folder:",
        lambda f: _load(f"folder:{f / 'images'}"),
    ),
    Case(
        "a folder that is not there",
        lambda f: _load(f"folder:{f / 'image'}"),
        "check the path",
        lambda f: _load(f"folder:{_folder(f, ['ant/a.png'])}"),
    ),
    Case(
        "images of two sizes",
        lambda f: _load(f"folder:{_folder(f, ['ant/a.png', 'bee/b.png'], (8, 6))}"),
        "@8",
        lambda f: _load(f"folder:{_folder(f, ['ant/a.png', 'bee/b.png'], (8, 6))}@8"),
    ),
    Case(
        "images without class folders",
        lambda f: _load(f"folder:{_folder(f, ['a.png'])}"),
        "one folder a class",
        lambda f: _load(f"folder:{_folder(f, ['ant/a.png'])}"),
    ),
    Case(
        "an empty class",
        lambda f: (
            _folder(f, ["ant/a.png"]),
            _make(f / "images/bee"),
            _load(f"folder:{f / 'images'}"),
        ),
        "add some or remove it",
        lambda f: (_remove(f / "images/bee"), _load(f"folder:{f / 'images'}")),
    ),
    Case(
        "a file that is no image",
        lambda f: (
            _folder(f, ["ant/a.png", "ant/b.png"]),
            (f / "images/ant/b.png").write_text("x"),
            _load(f"folder:{f / 'images'}"),
        ),
        "remove",
        lambda f: (_remove(f / "images/ant/b.png"), _load(f"folder:{f / 'images'}")),
    ),
    Case(
        "a class that the list lacks",
        lambda f: _with_list(f, "ant\n"),
        "add a line",
        lambda f: _with_list(f, "ant\nbee\n"),
    ),
    Case(
        "a class twice in the list",
        lambda f: _with_list(f, "ant\nbee\nant\n"),
        "correct it",
        lambda f: _with_list(f, "ant\nbee\n"),
    ),
    Case(
        "a split beside a class",
        lambda f: _load(f"folder:{_folder(f, ['train/ant/a.png', 'other/b.png'])}"),
        "name the folder that holds the classes",
        lambda f: _load(f"folder:{f / 'images' / 'train'}"),
    ),
    Case(
        "half of the classes",
        lambda f: _audit(f"folder:{_folder(f, ['ant/a.png', 'bee/b.png'])}"),
        "list all classes of the model in its order",
        lambda f: (
            (f / "images/classes.txt").write_text("bee\ncow\nant\n"),
            _audit(f"folder:{f / 'images'}"),
        ),
    ),
    Case(
        "half of the classes, with an option",
        lambda f: _audit(f"folder:{_folder(f, ['ant/a.png', 'bee/b.png'])}"),
        "--classes FILE",
        lambda f: (
            (f / "list.txt").write_text("bee\ncow\nant\n"),
            _audit(f"folder:{f / 'images'}", classes=f / "list.txt"),
        ),
    ),
    Case(
        "labels from 1",
        lambda _: _audit((BYTES, LABELS + 1)),
        "--label-offset -1",
        lambda _: _audit((BYTES, LABELS + 1), label_offset=-1),
    ),
    Case(
        "an offset below 0",
        lambda _: _audit((BYTES, LABELS), label_offset=-1),
        "a larger offset",
        lambda _: _audit((BYTES, LABELS), label_offset=0),
    ),
    Case(
        "an offset beside names",
        lambda _: _audit((BYTES, LABELS), classes=["0", "1", "2"], label_offset=1),
        "leave it out",
        lambda _: _audit((BYTES, LABELS), classes=["0", "1", "2"]),
    ),
    Case(
        "a list of classes in another encoding",
        lambda f: (
            (f / "list.txt").write_text("b\u00e9b\u00e9\nbee\nant\n", encoding="latin-1"),
            _audit(f"folder:{_folder(f, ['ant/a.png', 'bee/b.png'])}", classes=f / "list.txt"),
        ),
        "save it as UTF-8",
        lambda f: (
            (f / "list.txt").write_text("b\u00e9b\u00e9\nbee\nant\n", encoding="utf-8"),
            _audit(f"folder:{f / 'images'}", classes=f / "list.txt"),
        ),
    ),
    Case(
        "levels of 16 bits",
        lambda f: _npz(f, images=BYTES.astype(np.uint16) * 257, labels=LABELS),
        "(images // 257).astype('uint8')",
        lambda f: _npz(
            f, images=(BYTES.astype(np.uint16) * 257 // 257).astype("uint8"), labels=LABELS
        ),
    ),
    Case(
        "data sets that number their classes differently",
        lambda _: _audit(_joined("ant", "bee")),
        "audit them one by one",
        lambda _: [_audit(part) for part in _joined("ant", "bee").datasets],
    ),
    Case(
        "a mapping of splits",
        lambda _: _audit({"train": 0, "test": [(BYTES[0], 0)]}),
        "data['train']",
        lambda _: _audit({"train": [(BYTES[0], 0)]}["train"]),
    ),
    Case(
        "rows of other names",
        lambda _: _audit([{"picture": BYTES[0], "label": 0}]),
        "rename its columns",
        lambda _: _audit([{"image": BYTES[0], "label": 0}]),
    ),
    Case(
        "rows of three",
        lambda _: _audit([(BYTES[0], 0, 0)]),
        "(image, label)",
        lambda _: _audit([(BYTES[0], 0)]),
    ),
    Case(
        "images of two sizes in a list",
        lambda _: _audit([(BYTES[0], 0), (BYTES[0, :, :6], 1)]),
        "crop them alike",
        lambda _: _audit([(BYTES[0, :, :6], 0), (BYTES[0, :, :6], 1)]),
    ),
    Case("nothing", lambda _: _audit([]), "at least one image", lambda _: _audit([(BYTES[0], 0)])),
    Case(
        "a NaN",
        lambda _: _audit((np.where(BYTES[1, 0, 0, 0] == BYTES, np.nan, BYTES / 255), LABELS)),
        "mend",
        lambda _: _audit((np.nan_to_num(BYTES / 255), LABELS)),
    ),
    Case(
        "limit 0",
        lambda _: _audit((BYTES, LABELS), limit=0),
        "1 or more",
        lambda _: _audit((BYTES, LABELS), limit=1),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_remedy_works(case: Case, tmp_path: Path) -> None:
    follow(case, tmp_path)
