"""Many small images on one page, each with its class and confidence."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_SIDE = 112  # pixels of an image on the sheet
_CAPTION = 30
_GAP = 8
_LETTERS = 20  # of a caption


def contact_sheet(
    images: NDArray[np.uint8], captions: Sequence[str], notes: Sequence[str]
) -> Image.Image:
    """Lay images out in rows.

    Args:
        images: (n, c, h, w), uint8; 1 or 3 channels.
        captions: one an image; long ones are cut.
        notes: one an image, below its caption.

    Returns:
        The sheet, about as wide as high.

    Example:
        >>> contact_sheet(np.zeros((5, 1, 8, 8), np.uint8), list("abcde"), ["99 %"] * 5).size
        (368, 308)
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    width, height = _SIDE + _GAP, _SIDE + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for number, image in enumerate(images):
        left, top = _GAP + number % columns * width, _GAP + number // columns * height
        sheet.paste(_tile(image), (left, top))
        caption = captions[number]
        shown = caption if len(caption) <= _LETTERS else caption[: _LETTERS - 1] + "\u2026"
        text = f"{shown}\n{notes[number]}"
        draw.multiline_text((left, top + _SIDE + 1), text, "black", font, spacing=1)
    return sheet


def _tile(image: NDArray[np.uint8]) -> Image.Image:
    colours = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    small = max(image.shape[1:]) < _SIDE
    way = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    return Image.fromarray(np.ascontiguousarray(colours)).resize((_SIDE, _SIDE), way)
