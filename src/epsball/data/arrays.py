"""Arrays of images and labels of the user's own: checked, channels first."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from epsball.errors import InvalidInput
from epsball.types import Pixels

_MOST_CLASSES = 100_000  # four times ImageNet-21k; a larger label is a mistake, not a class
_BRIGHTEST = 255
_DEEP = 257  # from 16-bit levels to those of 8 bits
_WITH_ALPHA = {4: 3, 2: 1}  # channels with transparency, and without
_ROUNDING = 1e-6  # by which interpolation and division in float32 may miss 0 and 1
_GREY_RANK, _RANK = 3, 4


def check_pixels(what: str, images: NDArray[Any]) -> Pixels:
    """Return images (n, c, h, w), uint8 or float32, after checking every value.

    Args:
        what: names the images in messages.
        images: (n, h, w), (n, h, w, c) or (n, c, h, w) with c 1 or 3; integers in [0, 255], floats
            in [0, 1], or bool, false is black and true is white.

    Raises:
        InvalidInput: empty, another shape or dtype, or a value out of range, whose place is named.
    """
    channels_first(what, images)
    if not images.size:
        raise InvalidInput(f"{what} are empty, of shape {images.shape}: add images")
    if images.dtype == bool:  # black and white
        images = images.astype(np.uint8) * _BRIGHTEST
    is_float = np.issubdtype(images.dtype, np.floating)
    if not is_float and not np.issubdtype(images.dtype, np.integer):
        raise InvalidInput(
            f"{what} must be integers in [0, 255] or floats in [0, 1], found {images.dtype}: "
            "convert them"
        )
    images = within_unit(images) if is_float else images
    ordered = channels_first(what, images)
    top = 1 if is_float else _BRIGHTEST
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= top):  # a NaN anywhere makes both NaN, and this true
        raise _out_of_range(what, ordered, top)
    return ordered.astype(np.float32 if is_float else np.uint8, copy=False)


def within_unit(images: NDArray[Any]) -> NDArray[Any]:
    """Return floats in [0, 1] where only rounding put some outside; others as they are."""
    low, high = images.min(initial=0), images.max(initial=1)
    is_rounding = (low < 0 or high > 1) and low >= -_ROUNDING and high <= 1 + _ROUNDING
    return images.clip(0, 1) if is_rounding else images


def _out_of_range(what: str, images: NDArray[Any], top: int) -> InvalidInput:
    bad = ~((images >= 0) & (images <= top))
    place = tuple(int(axis[0]) for axis in np.nonzero(bad))
    kind = "floats in [0, 1]" if top == 1 else "integers in [0, 255]"
    remedy = "divide by 255, or undo the normalisation" if top == 1 else "rescale them"
    if images.dtype == np.uint16:
        remedy = f"for levels of 16 bits save (images // {_DEEP}).astype('uint8')"
    elif images.dtype == np.int8:
        remedy = "save images.view('uint8')"
    if not np.isfinite(images[place]):
        remedy = "mend or leave out that image"
    return InvalidInput(
        f"{what} must be {kind}, found {images[place]} in image {place[0]} (channel {place[1]}, "
        f"row {place[2]}, column {place[3]}): {remedy}"
    )


def channels_first(what: str, images: NDArray[Any]) -> NDArray[Any]:
    """Return images (n, c, h, w), the axis with 1 or 3 channels first.

    Raises:
        InvalidInput: either axis may be the channels, or neither.
    """
    if images.ndim == _GREY_RANK:
        return images[:, None]
    first, last = (images.ndim == _RANK and images.shape[axis] in (1, 3) for axis in (1, -1))
    if first and last:
        raise InvalidInput(
            f"{what} have shape {images.shape}, which may be channels first or last: save (n, h, "
            "w) for greys, or images of another size"
        )
    if not first and not last:
        raise InvalidInput(
            f"{what} must be (n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels, found "
            f"shape {images.shape}: {_remedy_for(images.shape)}"
        )
    return images if first else np.moveaxis(images, -1, 1)


def _remedy_for(shape: tuple[int, ...]) -> str:
    """Return what to do about images whose channels are neither 1 nor 3."""
    if len(shape) != _RANK:
        return "give one axis for images, one for channels, and height and width"
    for count, kept in _WITH_ALPHA.items():
        if count in (shape[1], shape[-1]):
            part = f"[..., :{kept}]" if shape[-1] == count else f"[:, :{kept}]"
            return f"leave out the transparency, images{part}"
    return "convert them to grey or to red, green and blue"


def check_labels(what: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return labels (n,), int64, after checking every value.

    Args:
        what: names the labels in messages.
        labels: (n,) or (n, 1), integers from 0, or booleans.

    Raises:
        InvalidInput: another shape or dtype, or a label out of range, which is named.
    """
    flat = labels[:, 0] if labels.ndim > 1 and labels.shape[1:] == (1,) else labels
    if not labels.size:
        raise InvalidInput(f"{what}: there are none: give at least one image with its label")
    if flat.ndim != 1:
        remedy = "for one-hot rows take argmax(1)" if flat.ndim > 1 else "put it into a list"
        raise InvalidInput(
            f"{what} must have one integer an image, found shape {labels.shape}: {remedy}"
        )
    if flat.dtype == bool:  # of two classes
        flat = flat.astype(np.int64)
    if not np.issubdtype(flat.dtype, np.integer):
        is_float = np.issubdtype(flat.dtype, np.floating)
        odd = int(np.argmax(flat != np.floor(flat))) if is_float else 0
        raise InvalidInput(
            f"{what} must be integers, found {flat.dtype}, number {odd} being {flat[odd]}: save "
            "them as int64"
        )
    bad = (flat < 0) | (flat >= _MOST_CLASSES)
    if bad.any():
        place = int(np.argmax(bad))
        raise InvalidInput(
            f"{what} must be integers from 0, below {_MOST_CLASSES}, number {place} is "
            f"{flat[place]}: count classes from 0"
        )
    return flat.astype(np.int64)
