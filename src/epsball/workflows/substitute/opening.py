"""Opening the oracle that a command names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from epsball.errors import InvalidInput
from epsball.evaluation.class_matching import fit_labels
from epsball.evaluation.inputs import sample_of
from epsball.evaluation.subject import open_model
from epsball.oracles import LabelOnly
from epsball.types import Dataset


def local_oracle(spec: str, images: Dataset, weights: Path | None) -> tuple[LabelOnly, Dataset]:
    """Return a model of this machine with everything but its labels removed, and data for it.

    Args:
        spec: as `load_model` takes it, or `defended:FOLDER`.
        images: what it will be asked about.
        weights: of the model.

    Returns:
        The oracle, and the images with labels in the order of its classes.

    Raises:
        InvalidInput: the model cannot be loaded, is in train mode, or has other classes than the
            images.
    """
    subject = open_model(spec, sample_of(images, 2)[0], "cpu", weights=weights)
    subject.refuse_findings()
    images, _ = fit_labels(subject, images)
    classes = len(images.class_names)
    if subject.info.classes != classes or subject.info.rejects:
        more = " and rejects" if subject.info.rejects else ""
        raise InvalidInput(
            f"substitute: the oracle names {subject.info.classes} classes{more}, the data have "
            f"{classes}: give data of the oracle's classes, and a model that does not reject"
        )
    return LabelOnly(subject.model), images


def headers_of(lines: Sequence[str]) -> Mapping[str, str]:
    """Read headers as they are typed.

    Raises:
        InvalidInput: a line without a colon.

    Example:
        >>> headers_of(["X-Key: 7"])
        {'X-Key': '7'}
    """
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise InvalidInput(f"--header must be 'Name: value', got {line!r}")
        headers[name.strip()] = value.strip()
    return headers
