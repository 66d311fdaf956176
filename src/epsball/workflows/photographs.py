"""`epsball photo`: show a model the photographs of a printed sheet."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from epsball.data import to_unit
from epsball.errors import InvalidInput
from epsball.evaluation.engine.examples import Reading, read_scores
from epsball.evaluation.metrics.statistics import wilson
from epsball.evaluation.subject import Model, open_model
from epsball.image_codec import as_pillow
from epsball.physical.layout import Sheet, read_sheet
from epsball.physical.photographs import CutOut, cut_out, read_photograph
from epsball.workflows.saving import appearing

PHOTO_TABLE = "photo.csv"
_COLUMNS = (
    "photograph",
    "pair",
    "index",
    "label",
    "prediction_of_the_file",
    "photographed_clean",
    "photographed",
    "confidence",
    "destroyed",
)


@dataclass(frozen=True)
class Photographed:
    """What the model says of the photographs.

    Args:
        path: the table.
        pairs: photographed pairs.
        clean_right: how many clean photographs get their label.
        destroyed: how many adversarial photographs get the label of the clean image, or are
            rejected: the photograph has undone them.
    """

    path: Path
    pairs: int
    clean_right: int
    destroyed: int

    @property
    def destruction_rate(self) -> float:
        """Return the share of adversarial images that the photograph makes harmless.

        Source: Kurakin et al. 2017, arXiv:1607.02533, equation 1: of the images that are right when
            clean and fool the model as files, which all images of a sheet are.
        """
        return self.destroyed / self.pairs

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the destruction rate."""
        return wilson(self.destroyed, self.pairs)


def score_photographs(
    folder: Path,
    photographs: Sequence[Path],
    *,
    model: Model | None = None,
    out: Path,
    device: str = "auto",
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> Photographed:
    """Cut the images out of photographs of a sheet, and show them to the model.

    Args:
        folder: what `make_sheet` wrote.
        photographs: one or more files, each of one page.
        model: None: the one that the sheet was made for.
        out: directory to be made: `photo.csv`, and the images as they were cut out.
        device: see `epsball.audit`.
        **loading: see `epsball.audit`.

    Raises:
        InvalidInput: a photograph without all markers, no photograph, another sheet; nothing has
            been written then.
    """
    sheet = read_sheet(folder)
    if not photographs:
        raise InvalidInput("photo: name at least one photograph")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInput(f"--out {out} is there already: name a new or empty directory")
    pairs = [
        (file, one)
        for file in photographs
        for one in cut_out(read_photograph(file), sheet, str(file))
    ]
    clean = np.stack([one.clean for _, one in pairs])
    moved = np.stack([one.adversarial for _, one in pairs])
    subject = open_model(model or sheet.model, to_unit(clean[:2]), device, **loading)
    subject.refuse_findings()
    if subject.info.classes != len(sheet.class_names):
        raise InvalidInput(
            f"photo: {subject.name} knows {subject.info.classes} classes, the sheet "
            f"{len(sheet.class_names)}: name the model that the sheet was made for"
        )
    labels = torch.tensor([sheet.pairs[one.pair].label for _, one in pairs])
    with torch.no_grad():
        before, after = (
            read_scores(subject.model(to_unit(part).to(subject.device)).cpu(), labels, subject.info)
            for part in (clean, moved)
        )
    return _write_photographs(out, sheet, pairs, before, after)


def _write_photographs(
    out: Path,
    sheet: Sheet,
    photographs: Sequence[tuple[Path, CutOut]],
    before: Reading,
    after: Reading,
) -> Photographed:
    """Write the images as they were cut out, and a table of what the model says of them.

    Args:
        out: the directory.
        sheet: what was photographed.
        photographs: files, each with a pair of images; m in all.
        before: what the model says of the clean images.
        after: likewise of the adversarial ones.
    """
    names = (*sheet.class_names, "reject")
    clean_right = destroyed = 0
    with appearing(out) as partial_out, (partial_out / PHOTO_TABLE).open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(_COLUMNS)
        for row, (file, one) in enumerate(photographs):
            pair, predicted = sheet.pairs[one.pair], int(after.prediction[row])
            clean_prediction, harmless = int(before.prediction[row]), bool(after.safe[row])
            clean_right += clean_prediction == pair.label
            destroyed += harmless
            classes = (pair.label, pair.prediction, clean_prediction, predicted)
            words = [names[number] for number in classes]
            table.writerow(
                [
                    file,
                    one.pair,
                    pair.index,
                    *words,
                    f"{float(after.confidence[row]):.6f}",
                    int(harmless),
                ]
            )
            for part, kind in ((one.clean, "clean"), (one.adversarial, "adversarial")):
                as_pillow(part).save(partial_out / f"{row:03d}-{kind}.png")
    return Photographed(out / PHOTO_TABLE, len(photographs), clean_right, destroyed)
