"""How images and labels are handed over: range, layout and order of classes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.drawn_pairs.behaviours import CHANCE
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

PIXELS = (
    "inputs-out-of-range",
    "images-nearly-black",
    "other-scaling",
    *CHANCE,
)
ORDER = ("class-order", "class-order-assumed", "classes-matched", *CHANCE)


@dataclass(frozen=True)
class Change:
    """A change of pixels (uint8 in, any array out) and what it may be told by."""

    make: Callable[[NDArray[np.uint8]], NDArray[Any]]
    codes: tuple[str, ...] = ()


def _unit(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.astype(np.float32) / 255


def _normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    unit = _unit(images)
    mean, std = unit.mean((0, 2, 3), keepdims=True), unit.std((0, 2, 3), keepdims=True)
    return (unit - mean) / std


def _reshaped(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Channels last in memory, read as channels first: reshape in place of transpose."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)).reshape(images.shape)


RANGES: dict[str, Change] = {
    "uint8": Change(lambda x: x),
    "float32 0..1": Change(_unit),
    "float64 0..1": Change(lambda x: x / 255),
    "float16 0..1": Change(lambda x: (x / 255).astype(np.float16)),
    "int64 0..255": Change(lambda x: x.astype(np.int64)),
    "float32 0..255": Change(lambda x: x.astype(np.float32), PIXELS),
    "-1..1": Change(lambda x: _unit(x) * 2 - 1, PIXELS),
    "mean and std": Change(_normalised, PIXELS),
    "bytes of 0 and 1": Change(lambda x: _unit(x).round().astype(np.uint8), PIXELS),
    "bytes of 0 to 16": Change(lambda x: (_unit(x) * 16).round().astype(np.uint8), PIXELS),
    "floats of 0 to 16": Change(lambda x: (_unit(x) * 16).round(), PIXELS),
    "scaled twice": Change(lambda x: _unit(x) / 255, PIXELS),
    "uint16": Change(lambda x: x.astype(np.uint16) * 257, PIXELS),
    "inverted": Change(lambda x: 255 - x, PIXELS),
    "rows for columns": Change(lambda x: np.ascontiguousarray(x.swapaxes(2, 3)), PIXELS),
    "upside down": Change(lambda x: np.ascontiguousarray(x[:, :, ::-1]), PIXELS),
    "BGR": Change(lambda x: np.ascontiguousarray(x[:, ::-1]), PIXELS),
    "reshaped": Change(_reshaped, PIXELS),
    "one NaN": Change(lambda x: _with_nan(_unit(x)), PIXELS),
}


def _with_nan(images: NDArray[np.float32]) -> NDArray[np.float32]:
    images[len(images) // 2, 0, 0, 0] = np.nan
    return images


@dataclass(frozen=True)
class Ordering:
    """A change of labels; `make` takes labels, k and a generator."""

    make: Callable[[NDArray[np.int64], int, np.random.Generator], NDArray[np.int64]]
    codes: tuple[str, ...] = ()


def _as_text(labels: NDArray[np.int64], classes: int, _: np.random.Generator) -> NDArray[np.int64]:
    return np.argsort(np.argsort([str(n) for n in range(classes)]))[labels]


def _permuted(
    labels: NDArray[np.int64], classes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    return rng.permutation(classes)[labels]


def _two_swapped(
    labels: NDArray[np.int64], classes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    one, other = rng.choice(classes, 2, replace=False)
    places = np.arange(classes)
    places[[one, other]] = other, one
    return places[labels]


ORDERS: dict[str, Ordering] = {
    "right": Ordering(lambda y, *_: y),
    "moved by one": Ordering(lambda y, *_: y + 1, ORDER),
    "moved round": Ordering(lambda y, k, _: (y + 1) % k, ORDER),
    "numbers as text": Ordering(_as_text, ORDER),
    "permuted": Ordering(_permuted, ORDER),
    "two swapped": Ordering(_two_swapped, ORDER),
    "numbered by those that occur": Ordering(
        lambda y, *_: np.unique(y, return_inverse=True)[1].reshape(-1), ORDER
    ),
}


class Rows:
    """A data set of torch's kind: length and item, no end of an iteration."""

    def __init__(self, images: Any, labels: Any) -> None:  # noqa: ANN401
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[Any, int]:
        """Return an image and its label."""
        return self.images[number % len(self)], int(self.labels[number % len(self)])


def _tensor(images: NDArray[Any]) -> Any:  # noqa: ANN401
    if images.dtype == np.uint16:
        images = images.astype(np.int32)
    return torch.from_numpy(np.ascontiguousarray(images))


def _last(images: NDArray[Any]) -> NDArray[Any]:
    return np.moveaxis(images, 1, -1)


def _pillow(images: NDArray[Any]) -> list[Image.Image]:
    rows = _last(images)
    return [Image.fromarray(row[..., 0] if row.shape[-1] == 1 else row) for row in rows]


def _archive(layout: Callable[[NDArray[Any]], NDArray[Any]], prefix: str = "") -> "Layout":
    def make(images: NDArray[Any], labels: NDArray[Any], folder: Path, *_: Any) -> str:  # noqa: ANN401
        arrays = {f"{prefix}images": layout(images), f"{prefix}labels": labels}
        np.savez(folder / "data.npz", **arrays)
        return f"npz:{folder / 'data.npz'}"

    return make


def _folder(images: NDArray[Any], labels: NDArray[Any], folder: Path, names: list[str]) -> str:
    root = folder / "images"
    for number, (image, label) in enumerate(zip(_pillow(images), labels, strict=True)):
        place = root / names[int(label)]
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{number:05d}.png", compress_level=1)
    return f"folder:{root}"


def _split(images: NDArray[Any], labels: NDArray[Any], folder: Path, names: list[str]) -> str:
    for split in ("train", "val"):
        root = folder / "images" / split
        root.mkdir(parents=True)
        _folder(images, labels, folder / "made", names)
        (folder / "made" / "images").rename(root / "made")
        for place in (root / "made").iterdir():
            place.rename(root / place.name)
        (root / "made").rmdir()
    return f"folder:{folder / 'images'}"


def _stated(images: NDArray[Any], labels: NDArray[Any], folder: Path, names: list[str]) -> str:
    spec = _folder(images, labels, folder, names)
    (folder / "images" / "classes.txt").write_text("\n".join(names) + "\n")
    return spec


def _mappings(images: Any, labels: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    for image, label in zip(images, labels, strict=True):
        yield {"image": image, "label": int(label)}


Layout = Callable[[NDArray[Any], NDArray[Any], Path, list[str]], Any]
LAYOUTS: dict[str, Layout] = {
    "tensor": lambda x, y, *_: (_tensor(x), torch.from_numpy(y)),
    "array": lambda x, y, *_: (x, y),
    "channels last": lambda x, y, *_: (_last(x), y),
    "channels last in memory": lambda x, y, *_: (
        _tensor(x).contiguous(memory_format=torch.channels_last),
        torch.from_numpy(y),
    ),
    "without channels": lambda x, y, *_: (x[:, 0], y),
    "lists": lambda x, y, *_: (list(map(_tensor, x)), y.tolist()),
    "labels (n, 1)": lambda x, y, *_: (x, y[:, None]),
    "labels int32": lambda x, y, *_: (_tensor(x), torch.from_numpy(y).int()),
    "labels float": lambda x, y, *_: (x, y.astype(np.float64)),
    "labels one-hot": lambda x, y, *_: (x, np.eye(y.max() + 1, dtype=np.int64)[y]),
    "labels as text": lambda x, y, *_: (x, y.astype(str)),
    "TensorDataset": lambda x, y, *_: TensorDataset(_tensor(x), torch.from_numpy(y)),
    "Dataset": lambda x, y, *_: Rows(list(map(_tensor, x)), y),
    "DataLoader": lambda x, y, *_: DataLoader(
        TensorDataset(_tensor(x), torch.from_numpy(y)), batch_size=17
    ),
    "loader, shuffled": lambda x, y, *_: DataLoader(
        TensorDataset(_tensor(x), torch.from_numpy(y)), batch_size=32, shuffle=True
    ),
    "mapping": lambda x, y, *_: {"image": _tensor(x), "label": torch.from_numpy(y)},
    "rows of mappings": lambda x, y, *_: list(_mappings(map(_tensor, x), y)),
    "Pillow": lambda x, y, *_: [(i, int(n)) for i, n in zip(_pillow(x), y, strict=True)],
    "Pillow mappings": lambda x, y, *_: list(_mappings(_pillow(x), y)),
    "npz": _archive(lambda x: x),
    "npz channels last": _archive(_last),
    "npz split": _archive(lambda x: x, "test_"),
    "folder by number": lambda x, y, folder, names: _folder(
        x, y, folder, [str(n) for n in range(len(names) + 1)]
    ),
    "folder by name": _folder,
    "folder of splits by number": lambda x, y, folder, names: _split(
        x, y, folder, [str(n) for n in range(len(names) + 1)]
    ),
    "folder with classes.txt": _stated,
}
ONLY_BYTES = frozenset(name for name in LAYOUTS if "folder" in name or "Pillow" in name)
