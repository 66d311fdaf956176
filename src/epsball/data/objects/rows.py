"""One row of data in any supported form: an image and its label.

torch is not imported here: tensors are recognised by their methods.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from epsball.data.arrays import channels_first, check_pixels, within_unit
from epsball.data.images import decode_any, pixels_of
from epsball.errors import InvalidInput
from epsball.types import Pixels

IMAGES = (
    *("image", "img", "images", "pixel_values", "x"),
    *("path", "file", "filename", "filepath", "file_name", "image_path", "image_file"),
)
LABELS = ("label", "labels", "fine_label", "class", "target", "targets", "y")
FORMS = (
    "a name such as 'mnist', a pair (images, labels), a data set or DataLoader of torch, a split "
    "of a Hugging Face data set, a data frame of paths and labels, or a list of (image, label)"
)
CHANNELS = (1, 3)
_MOST_COLOURS = 4  # channels of an image that is no measurement of many bands


def rows_of(data: Any) -> Iterator[Any]:  # noqa: ANN401 - any supported object
    """Yield the rows of an iterable, or of a sequence that has positions and a length only.

    Raises:
        InvalidInput: it is neither.
    """
    if isinstance(data, Iterable):
        yield from data
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        # torch's data sets need not end an iteration by IndexError
        yield from (data[number] for number in range(len(data)))
    else:
        raise InvalidInput(f"data must be {FORMS}, got {type(data).__name__}")


def split_row(row: Any, number: int = 0) -> tuple[Any, Any]:  # noqa: ANN401 - any supported object
    """Split a row or a batch into image and label.

    Args:
        row: a pair, or a mapping with an image and a label.
        number: its place, for messages.

    Raises:
        InvalidInput: it is neither.
    """
    if isinstance(row, Mapping):
        image, label = key_among(row, IMAGES), key_among(row, LABELS)
        if image is not None and label is not None:
            return row[image], row[label]
        keys = ", ".join(map(str, row))
        raise InvalidInput(
            f"row {number} of the data must have an image ({', '.join(IMAGES)}) and a label "
            f"({', '.join(LABELS)}), found {keys}: rename its columns, or give pairs"
        )
    if isinstance(row, Sequence) and not isinstance(row, str) and len(row) == 2:
        return row[0], row[1]
    kind = f"{len(row)} values" if isinstance(row, Sequence) else type(row).__name__
    raise InvalidInput(
        f"row {number} of the data must be (image, label), found {kind}: data must be {FORMS}"
    )


def key_among(row: Iterable[Any], names: Sequence[str]) -> str | None:
    """Return the first of some names that a mapping or a list of columns has."""
    known = list(row)
    return next((name for name in names if name in known), None)


def is_scalar_label(label: Any) -> bool:  # noqa: ANN401 - any supported object
    """Say whether this is the label of one image, not the labels of a batch."""
    return isinstance(label, str | int | np.integer) or getattr(label, "ndim", 1) == 0


def same_label(label: Any, stated: Any) -> bool:  # noqa: ANN401 - numbers or names
    """Say whether a label that was read is the one that the data set states."""
    if isinstance(label, str) or isinstance(stated, str):
        return str(label) == str(stated)
    read = as_array(label)
    return read.ndim == 0 and read.item() == as_array(stated).item()


def is_encoded(image: Any) -> bool:  # noqa: ANN401 - any supported object
    """Say whether an image is still a file: a path, its bytes, or Hugging Face's mapping."""
    return isinstance(image, str | Path | bytes) or (
        isinstance(image, Mapping) and {"bytes", "path"} <= set(image)
    )


def is_image_list(images: Any) -> bool:  # noqa: ANN401 - any supported object
    """Say whether these are images one by one, which have to be read before they are joined.

    Images of Pillow have palettes, bits and colour spaces that an array of them would lose; greys
    and colours have different shapes.
    """
    kind = getattr(getattr(images, "dtype", None), "kind", "")
    listed = isinstance(images, list | tuple) or kind == "O"
    if not listed or not len(images):
        return False
    if any(is_encoded(image) or isinstance(image, Image.Image) for image in images):
        return True
    shapes = {getattr(image, "shape", None) for image in images}
    return None not in shapes and (len(shapes) > 1 or kind == "O")


def as_array(part: Any) -> NDArray[Any]:  # noqa: ANN401 - tensors, arrays, lists
    """Return an array of what a tensor, an array or a list of them holds."""
    if isinstance(part, list | tuple) and part and hasattr(part[0], "detach"):
        return np.stack([as_array(one) for one in part])
    if not hasattr(part, "detach"):
        return np.asarray(part)
    tensor = part.detach().cpu()
    # numpy has no bfloat16
    array: NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return array


def image_array(image: Any, where: str) -> NDArray[Any]:  # noqa: ANN401 - any supported object
    """Return the pixels of an image in any form, in its own layout.

    Args:
        image: Pillow's, an array, a tensor, a path, the bytes of a file, or {"bytes", "path"}.
        where: names the image in messages.

    Raises:
        InvalidInput: it does not decode.
    """
    if isinstance(image, Mapping) and is_encoded(image):
        image = image["path"] if image["bytes"] is None else image["bytes"]
    if isinstance(image, bytes):
        return decode_any(BytesIO(image), where)
    if isinstance(image, str | Path):
        return decode_any(Path(image).expanduser(), f"{image}, {where},")
    return pixels_of(image, where) if isinstance(image, Image.Image) else as_array(image)


def is_of_torch(images: Any) -> bool:  # noqa: ANN401 - any supported object
    """Say whether this is a tensor or a list of tensors."""
    listed = isinstance(images, list | tuple) and len(images) > 0
    return hasattr(images[0] if listed else images, "detach")


def channels_leading(images: NDArray[Any], where: str, *, first: bool = False) -> Pixels:
    """Return images (m, c, h, w) of uint8 or float32.

    Args:
        images: (m, h, w), (m, h, w, c) or (m, c, h, w): bool, integers in [0, 255] or floats, whose
            range is checked when all is read. Floats may have any number of channels, first.
        where: names them in messages.
        first: whether the first axis of an image of floats is its channels where the last one may
            be, too, as the convention of torch is.

    Raises:
        InvalidInput: another shape or type, either axis may be the channels, or integers out of
            range.
    """
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4:
        raise InvalidInput(
            f"{where} must be (c, h, w), (h, w, c) or (h, w), found shape {images.shape[1:]}: "
            "give one image and one label a row"
        )
    if not np.issubdtype(images.dtype, np.floating):
        return check_pixels(where, images)
    return np.asarray(within_unit(_floats_leading(images, where, first=first)), dtype=np.float32)


def _floats_leading(images: NDArray[Any], where: str, *, first: bool) -> NDArray[Any]:
    _, leading, height, trailing = images.shape
    if leading in CHANNELS and (first or trailing not in CHANNELS):
        return images
    if leading in CHANNELS or trailing in CHANNELS:
        return channels_first(where, images)
    square_or_alpha = leading == height or trailing in (2, _MOST_COLOURS)
    if square_or_alpha and min(leading, height) > max(trailing, _MOST_COLOURS):
        raise InvalidInput(
            f"{where} of shape {images.shape[1:]} seem to have {trailing} channels, last: give "
            "(c, h, w), and leave transparency out"
        )
    return images
