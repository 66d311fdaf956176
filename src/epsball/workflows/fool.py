"""Fooling images of a model: search, save, read back, and lay out on a contact sheet."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.data import load_data, to_unit
from epsball.data.images import decode, measure
from epsball.errors import InvalidInput
from epsball.evaluation.class_matching import names_of_labels
from epsball.evaluation.progress import Progress, Silent
from epsball.evaluation.subject import Model, Subject, open_model
from epsball.fooling.contact_sheet import contact_sheet
from epsball.fooling.evolution import evolve
from epsball.fooling.gradient import ascend_class
from epsball.fooling.result import Fooling, target_confidence
from epsball.image_codec import as_pillow
from epsball.kinds.class_names import class_number, names_of_classes
from epsball.models import MODELS
from epsball.types import Dataset
from epsball.workflows.saving import appearing

Way: TypeAlias = Literal["gradient", "evolution"]
WAYS: tuple[Way, ...] = ("gradient", "evolution")
SHEET, TABLE = "sheet.png", "fooling.csv"
_BATCH = 6_000_000  # pixels of a batch
_COLUMNS = ("file", "class", "class_name", "confidence", "reached", "queries")
_SIDE = 224  # of images, where neither data nor model say


@dataclass(frozen=True)
class Fooled:
    """What was written.

    Args:
        path: the directory: an image a class, `sheet.png`, `fooling.csv`.
        fooling: the images, with the confidence of the files.
        names: the target classes, in words.
        confidence: what was asked for.
    """

    path: Path
    fooling: Fooling
    names: tuple[str, ...]
    confidence: float

    @property
    def reached(self) -> int:
        """Return how many images have at least the confidence that was asked for."""
        return self.fooling.reached(self.confidence)


def fool(
    model: Model,
    classes: Sequence[str],
    *,
    out: Path,
    by: Way = "gradient",
    encoding: str = "cppn",
    start: str = "black",
    regularised: bool = False,
    confidence: float = 0.99,
    steps: int = 200,
    step_size: float = 0.02,
    evaluations: int = 20_000,
    data: str | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> Fooled:
    """Search images that a model classifies with confidence and that mean nothing to people.

    Args:
        model: see `epsball.audit`; it does not reject.
        classes: names or numbers of the target classes; ("all",): every class.
        out: directory to be made.
        by: "gradient" (see `ascend_class`) or "evolution" (see `evolve`).
        encoding: of evolution: "cppn" or "direct".
        start: of the gradient: "black", "noise" (uniform) or the path of an image.
        regularised: of the gradient: smooth and shift, so that one sees what the class means.
        confidence: what is aimed at, in (0, 1).
        steps: the most gradients an image gets.
        step_size: of the gradient, input units.
        evaluations: the most images that evolution shows to the model.
        data: names the classes and the shape of images; None: the model's own shape (zoo),
            else 3x224x224, and the model's own names, else WordNet's for 1,000 classes.
        seed: of everything random.
        device: see `epsball.audit`.
        progress: is told how far it is.
        **loading: weights, mean, std, resize, channels for `load_model`.

    Returns:
        The images and what the model says of them, read back from 8 bits.

    Raises:
        InvalidInput: an unknown class, a directory in use, a bad image or setting; nothing has been
            written then.
    """
    progress = progress or Silent()
    if by not in WAYS:
        raise InvalidInput(f"fool: by must be gradient or evolution, got {by!r}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInput(f"--out {out} is there already: name a new or empty directory")
    images = None if data is None else load_data(data)
    shape = _shape(model) if images is None else images.shape
    subject = open_model(model, torch.full((2, *shape), 0.5), device, **loading)
    _check(subject, by)
    names = _names(subject, images)
    targets = _targets(classes, names, subject)
    if by == "evolution":
        progress.begin("evolving", evaluations)
        fooling = evolve(
            subject.model,
            targets,
            classes=subject.info.classes,
            shape=shape,
            encoding=encoding,
            confidence=confidence,
            evaluations=evaluations,
            seed=seed,
            advance=partial(progress.advance, note=encoding),
        )
    else:
        generator = torch.Generator().manual_seed(seed)
        first = _start(start, shape, len(targets), generator).to(targets.device)
        climb = partial(
            ascend_class,
            subject.model,
            confidence=confidence,
            steps=steps,
            step_size=step_size,
            regularised=regularised,
            generator=generator,
            advance=partial(progress.advance, note=start),
        )
        batches = _slices(len(targets), shape)
        progress.begin("climbing", steps * len(batches))
        fooling = _joined([climb(first[rows], targets[rows]) for rows in batches])
    target_names = tuple(names[int(target)] for target in targets)
    return _saved(subject, fooling, target_names, out, confidence)


def _saved(
    subject: Subject, fooling: Fooling, names: tuple[str, ...], out: Path, confidence: float
) -> Fooled:
    """Write the images, and read what the model says of the files."""
    levels = (fooling.images.cpu() * 255).round().numpy().astype(np.uint8)
    confidence_of_files = torch.cat(
        [
            target_confidence(
                subject.model,
                to_unit(levels[rows]).to(subject.device),
                fooling.targets[rows].to(subject.device),
            ).cpu()
            for rows in _slices(len(levels), levels.shape[1:])
        ]
    )
    stored = Fooling(to_unit(levels), fooling.targets, confidence_of_files, fooling.queries)
    notes = [f"{100 * sure:.1f} %" for sure in confidence_of_files.tolist()]
    with appearing(out) as partial_out:
        with (partial_out / TABLE).open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(_COLUMNS)
            for row, target in enumerate(fooling.targets.tolist()):
                file = f"{target:04d}.png"
                as_pillow(levels[row]).save(partial_out / file)
                sure = float(confidence_of_files[row])
                spent = int(fooling.queries[row])
                reached = int(sure >= confidence)
                table.writerow([file, target, names[row], f"{sure:.6f}", reached, spent])
        contact_sheet(levels, names, notes).save(partial_out / SHEET)
    return Fooled(out, stored, names, confidence)


def _shape(model: Model) -> tuple[int, int, int]:
    """Return the shape of images where no data set gives any."""
    name = model.removeprefix("zoo:") if isinstance(model, str) else ""
    return MODELS[name].input_shape if name in MODELS else (3, _SIDE, _SIDE)


def _names(subject: Subject, images: Dataset | None) -> tuple[str, ...]:
    """Return the names of the model's classes, in its order."""
    if images is not None:
        return names_of_labels(subject, images)
    count, own = subject.info.classes, subject.class_names
    return own if own is not None and len(own) == count else names_of_classes(count)


def _check(subject: Subject, by: Way) -> None:
    subject.refuse_findings()
    if subject.info.rejects:
        raise InvalidInput(f"fool: {subject.name} rejects: search on the model behind the defence")
    if by == "gradient" and not subject.info.differentiable:
        raise InvalidInput(
            f"fool: {subject.name} gives no gradient with respect to its input: use --by evolution"
        )


def _targets(classes: Sequence[str], names: Sequence[str], subject: Subject) -> Tensor:
    if not classes:
        raise InvalidInput("fool: name at least one class with --class NAME, or --class all")
    every = list(classes) == ["all"]
    numbers = range(len(names)) if every else [class_number(text, names) for text in classes]
    return torch.tensor(list(dict.fromkeys(numbers)), device=subject.device)


def _start(
    start: str, shape: tuple[int, int, int], count: int, generator: torch.Generator
) -> Tensor:
    if start == "black":
        return torch.zeros(count, *shape)
    if start == "noise":
        return torch.rand(count, *shape, generator=generator)
    file = Path(start)
    if not file.is_file():
        raise InvalidInput(f"fool: start must be black, noise or an image, no file at {start}")
    return to_unit(_fitting(file, shape)[None]).expand(count, -1, -1, -1).clone()


def _fitting(file: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Read an image; another size is scaled and cropped where the model's images are square."""
    channels, height, width = shape
    if channels not in (1, 3):
        raise InvalidInput(f"fool: an image has 1 or 3 channels, the model wants {channels}")
    _, *sides = measure(file)
    if sides == [height, width]:
        return decode(file, str(file), channels=channels)
    if height != width:
        raise InvalidInput(f"fool: {file} is {sides[1]}x{sides[0]}, not {width}x{height}: scale it")
    return decode(file, str(file), channels=channels, size=height)


def _slices(count: int, shape: Sequence[int]) -> list[slice]:
    size = max(1, _BATCH // int(np.prod(shape)))
    return [slice(at, min(at + size, count)) for at in range(0, count, size)]


def _joined(parts: Sequence[Fooling]) -> Fooling:
    columns = zip(*((p.images, p.targets, p.confidence, p.queries) for p in parts), strict=True)
    return Fooling(*(torch.cat(column) for column in columns))
