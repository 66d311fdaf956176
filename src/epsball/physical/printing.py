"""Pages of clean and adversarial pairs with markers in their corners, as one PDF."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from epsball.errors import InvalidInput
from epsball.models.loading.request import optional
from epsball.physical.layout import (
    CORNERS,
    DPI,
    HEIGHT,
    MARKER,
    MOST_PAIRS,
    WIDTH,
    Sheet,
    cell,
    marker_places,
)

PDF = "sheet.pdf"
_CAPTION = 34  # size of letters, in dots
_LETTERS = 46  # of a caption


def draw_pages(
    sheet: Sheet, clean: NDArray[np.uint8], adversarial: NDArray[np.uint8]
) -> list[Image.Image]:
    """Draw the pages of a sheet.

    Args:
        sheet: which pairs.
        clean: (n, c, h, w), uint8, 1 or 3 channels; in the order of the pairs.
        adversarial: likewise.

    Returns:
        RGB images of A4 at 300 dots an inch.

    Raises:
        InvalidInput: more pairs than there are markers for, or another number of channels.
    """
    if not 0 < len(sheet.pairs) <= MOST_PAIRS:
        raise InvalidInput(f"sheet: takes 1 to {MOST_PAIRS} pairs, got {len(sheet.pairs)}")
    if sheet.shape[0] not in (1, 3):
        raise InvalidInput(f"sheet: images must have 1 or 3 channels, got {sheet.shape[0]}")
    return [_page(sheet, page, clean, adversarial) for page in range(sheet.pages)]


def write_pdf(pages: list[Image.Image], file: Path) -> None:
    """Write pages as one PDF; images in it are JPEGs of the highest quality, colours whole."""
    pages[0].save(
        file,
        "PDF",
        save_all=True,
        append_images=pages[1:],
        resolution=DPI,
        quality=100,
        subsampling=0,
    )


def _page(
    sheet: Sheet, page: int, clean: NDArray[np.uint8], adversarial: NDArray[np.uint8]
) -> Image.Image:
    aruco = optional("cv2", extra="physical", needed_by="sheet").aruco
    dictionary = aruco.getPredefinedDictionary(aruco.DICT_4X4_50)
    paper = Image.new("RGB", (WIDTH, HEIGHT), "white")
    for corner, place in enumerate(marker_places()):
        number = page * len(CORNERS) + corner
        paper.paste(
            Image.fromarray(aruco.generateImageMarker(dictionary, number, MARKER)).convert("RGB"),
            place,
        )
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(_CAPTION)
    head = f"{sheet.model}  {sheet.attack}  {sheet.norm}  eps {sheet.eps:.4f}  page {page + 1}"
    draw.text((420, 300), head[:90], "black", font)
    for number, row in sheet.on_page(page):
        pair = sheet.pairs[number]
        label = sheet.class_names[pair.label]
        texts = (f"{pair.index}: {label}", f"taken for {sheet.class_names[pair.prediction]}")
        for column, images in enumerate((clean, adversarial)):
            left, top, side = cell(row, column)
            paper.paste(_printed(images[number], side), (left, top))
            draw.text((left, top + side + 6), texts[column][:_LETTERS], "black", font)
    return paper


def _printed(image: NDArray[np.uint8], side: int) -> Image.Image:
    """Enlarge an image to a square; every pixel stays a square of its own."""
    colours = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)
    whole = Image.fromarray(np.ascontiguousarray(colours))
    return whole.resize((side, side), Image.Resampling.NEAREST)
