"""How adversarial images are written down: as arrays or as PNGs, and the table beside them."""

import csv
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.evaluation.engine.examples import Examples, Reading
from epsball.evaluation.records.survival import to_8bit
from epsball.evaluation.settings import AttackSetting
from epsball.files import unwritable
from epsball.geometry import size
from epsball.image_codec import as_pillow
from epsball.types import Dataset

Form: TypeAlias = Literal["npz", "png"]
TABLE = "adversarial.csv"
ARCHIVE = "adversarial.npz"
_COLUMNS = (
    "file",
    "index",
    "label",
    "label_name",
    "clean_prediction",
    "prediction",
    "confidence",
    "fooled",
    "attack",
    "norm",
    "eps",
    "linf",
    "l2",
)


class Saver(Protocol):
    """Stores images."""

    def add(self, images: Tensor, clean: Examples) -> tuple[list[str], Tensor]:
        """Keep (n, c, h, w); return a name each, and the images as they can be read back."""
        ...

    def close(self) -> None:
        """Finish the files."""
        ...


def check_form(form: str, data: Dataset) -> None:
    """Refuse a form that does not exist, or that cannot hold such images."""
    if form not in ("npz", "png"):
        raise InvalidInput(f"format must be npz or png, got {form!r}")
    if form == "png" and data.shape[0] not in (1, 3):
        raise InvalidInput(f"PNG needs 1 or 3 channels, {data.name} has {data.shape[0]}; use npz")


def open_saver(form: Form, out: Path, data: Dataset, count: int) -> Saver:
    """Return a saver of a number of images in a form."""
    return _Npz(out, data, count) if form == "npz" else _Png(out, data)


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Yield a temporary directory that becomes `out` on success and is removed otherwise."""
    out = out.resolve()
    partial_out = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(partial_out, ignore_errors=True)
        partial_out.mkdir(parents=True)
        yield partial_out
        if out.exists():
            out.rmdir()  # empty, as was checked
        partial_out.replace(out)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        shutil.rmtree(partial_out, ignore_errors=True)


class _Npz:
    """One npz file, written through the disk so that memory stays small."""

    def __init__(self, out: Path, data: Dataset, count: int) -> None:
        self.out, self.at = out, 0
        # plain writes: a full disk is an error there, and a bus error under a memory map
        self.images = (out / "images.npy").open("wb")
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, *data.shape)}
        np.lib.format.write_array_header_1_0(self.images, header)
        self.labels = np.empty(count, dtype=np.int64)
        self.names = np.array(data.class_names, dtype=np.str_)

    def add(self, images: Tensor, clean: Examples) -> tuple[list[str], Tensor]:
        rows = slice(self.at, self.at + len(images))
        self.images.write(images.numpy().astype("<f4").tobytes())
        self.labels[rows] = clean.labels.numpy()
        self.at = rows.stop
        return [ARCHIVE] * len(images), images

    def close(self) -> None:
        self.images.close()
        with zipfile.ZipFile(self.out / ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(self.out / "images.npy", "images.npy")
            for name, array in (("labels", self.labels), ("class_names", self.names)):
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        (self.out / "images.npy").unlink()


class _Png:
    """One folder a class, as `folder:` reads them; classes.txt keeps the order of the labels."""

    def __init__(self, out: Path, data: Dataset) -> None:
        self.out = out
        self.folders = [f"{i:04d}-{_plain(name)}" for i, name in enumerate(data.class_names)]
        for label in np.unique(data.labels):
            (out / self.folders[label]).mkdir()
        text = "\n".join(self.folders) + "\n"
        (out / "classes.txt").write_text(text, encoding="utf-8")

    def add(self, images: Tensor, clean: Examples) -> tuple[list[str], Tensor]:
        batch = to_8bit(images, clean.images)
        files = []
        labels, positions = clean.labels.tolist(), clean.positions.tolist()
        for image, label, position in zip(batch, labels, positions, strict=True):
            file = f"{self.folders[label]}/{position:07d}.png"
            as_pillow(image).save(self.out / file)
            files.append(file)
        return files, torch.from_numpy(batch).float() / 255

    def close(self) -> None:
        for folder in self.out.iterdir():  # classes that this sample has no image of
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)[:40]


class Table:
    """The CSV beside the images: what each one is taken for, as saved."""

    def __init__(self, file: Path, data: Dataset) -> None:
        """Open the file and write its header."""
        self.names, self.fooled, self.clean_wrong = data.class_names, 0, 0
        self.stream = file.open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.stream)
        self.writer.writerow(_COLUMNS)

    def add(
        self,
        setting: AttackSetting,
        clean: Examples,
        files: list[str],
        saved: Tensor,
        reading: Reading,
    ) -> None:
        """Write one row an image."""
        delta = saved.double() - clean.images.double()
        success = ~reading.safe
        self.fooled += int(success.sum())
        self.clean_wrong += int((clean.reading.prediction != clean.labels).sum())
        columns: list[list[Any]] = [
            files,
            clean.positions.tolist(),
            clean.labels.tolist(),
            [self.names[label] for label in clean.labels.tolist()],
            clean.reading.prediction.tolist(),
            reading.prediction.tolist(),
            reading.confidence.tolist(),
            success.int().tolist(),
            [setting.variant] * len(files),
            [setting.norm] * len(files),
            [setting.eps[0]] * len(files),
            size(delta, "linf").tolist(),
            size(delta, "l2").tolist(),
        ]
        self.writer.writerows(zip(*columns, strict=True))

    def __enter__(self) -> Self:
        """Begin to write."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, whatever happened."""
        self.stream.close()
