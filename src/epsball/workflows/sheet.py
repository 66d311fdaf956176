"""`epsball sheet`: a printable sheet of clean and adversarial pairs."""

import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epsball.data.images import decode
from epsball.errors import InvalidInput
from epsball.evaluation.inputs import Data, open_data
from epsball.evaluation.progress import Progress
from epsball.evaluation.subject import Model
from epsball.physical.layout import Pair, Sheet, write_sheet
from epsball.physical.printing import PDF, draw_pages, write_pdf
from epsball.workflows.craft import craft
from epsball.workflows.saving import TABLE, appearing

_TRIED = 20  # images attacked for each pair that is wanted, at most


def make_sheet(
    model: Model,
    data: Data,
    *,
    out: Path,
    attack: str = "fgsm",
    norm: str = "linf",
    eps: float | str | None = None,
    steps: int | None = None,
    count: int = 6,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> Sheet:
    """Attack images and lay out those that fool the model, beside the clean ones, for printing.

    Args:
        model: see `epsball.audit`.
        data: see `epsball.audit`.
        out: directory to be made: `sheet.pdf`, a PNG a page, `sheet.json`.
        attack: name with settings.
        norm: of the ball.
        eps: its radius; None: the largest that suits the data.
        steps: of the attack.
        count: pairs; of images that are right when clean and fool the model as files of 8 bits.
        seed: of everything random.
        device: see `epsball.audit`.
        progress: is told how far it is.
        **loading: see `epsball.audit`.

    Returns:
        What was laid out.

    Raises:
        InvalidInput: bad input, or too few images fool the model; nothing has been written then.
    """
    if count < 1:
        raise InvalidInput(f"sheet: count must be at least 1, got {count}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInput(f"--out {out} is there already: name a new or empty directory")
    images = open_data(data)
    with TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        crafted = craft(
            model,
            images,
            out=files,
            attack=attack,
            norm=norm,
            eps=eps,
            steps=steps,
            form="png",
            limit=min(_TRIED * count, len(images)),
            seed=seed,
            device=device,
            progress=progress,
            **loading,
        )
        rows = _chosen(files, count)
        channels = images.shape[0]
        moved = np.stack([decode(files / r["file"], r["file"], channels=channels) for r in rows])
    clean = _levels(images.read(np.array([int(row["index"]) for row in rows])))
    columns = ("index", "label", "clean_prediction", "prediction")
    pairs = tuple(Pair(*(int(row[name]) for name in columns)) for row in rows)
    spec = model if isinstance(model, str) else type(model).__name__
    variant, radius = rows[0]["attack"], float(rows[0]["eps"])
    sheet = Sheet(pairs, images.shape, crafted.class_names, spec, variant, norm, radius)
    pages = draw_pages(sheet, clean, moved)
    with appearing(out) as partial_out:
        write_sheet(sheet, partial_out)
        write_pdf(pages, partial_out / PDF)
        for number, page in enumerate(pages, start=1):
            page.save(partial_out / f"page-{number}.png", compress_level=3)
    return sheet


def _chosen(files: Path, count: int) -> list[dict[str, str]]:
    """Return the rows of the first images that are right when clean and fool the model."""
    with (files / TABLE).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    successes = [
        row for row in rows if row["clean_prediction"] == row["label"] and row["fooled"] == "1"
    ]
    if len(successes) < count:
        raise InvalidInput(
            f"sheet: {count} pairs are wanted, and of {len(rows)} attacked images {len(successes)} "
            "are right when clean and fool the model: take a larger --eps, another --attack, or a "
            "smaller --count"
        )
    return successes[:count]


def _levels(images: NDArray[Any]) -> NDArray[np.uint8]:
    if images.dtype == np.uint8:
        return images
    return (images * 255).round().astype(np.uint8)
