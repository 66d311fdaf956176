"""Finding the printed images in a photograph of a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from epsball.errors import InvalidInput
from epsball.models.loading.request import optional
from epsball.physical.layout import CORNERS, MARKER, Sheet, cell, marker_places

_FINER = 4  # an image is cut out with so many times its pixels, then averaged


@dataclass(frozen=True)
class CutOut:
    """The images of one photographed pair.

    Args:
        pair: its number in the sheet.
        clean: (c, h, w), uint8.
        adversarial: likewise.
    """

    pair: int
    clean: NDArray[np.uint8]
    adversarial: NDArray[np.uint8]


def read_photograph(file: Path) -> NDArray[np.uint8]:
    """Read a photograph the right way up.

    Args:
        file: any image that Pillow reads. It is turned as its EXIF data say; of transparency the
            paper's white is left, of an animation the first frame; CMYK and 16 bits become RGB.

    Returns:
        (h, w, 3), uint8.

    Raises:
        InvalidInput: it is no image, or does not decode.
    """
    try:
        with Image.open(file) as opened:
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I"):
                deep = np.asarray(upright).astype(np.uint32)
                grey = (deep * 255 + 32767) // 65535 if deep.max(initial=0) > 255 else deep
                return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
            if "A" in upright.getbands() or "transparency" in upright.info:
                paper = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(paper, upright.convert("RGBA"))
            return np.array(upright.convert("RGB"))
    except FileNotFoundError:
        raise InvalidInput(f"photo {file}: there is no such file: check the path") from None
    except Exception as error:  # decoders raise anything on damage
        raise InvalidInput(
            f"photo {file} does not decode ({type(error).__name__}: {error}): give a JPEG or PNG"
        ) from None


def cut_out(photograph: NDArray[np.uint8], sheet: Sheet, name: str) -> list[CutOut]:
    """Find the markers of a page and cut its images out.

    Args:
        photograph: (h, w, 3), uint8, RGB.
        sheet: what was printed.
        name: of the photograph, for messages.

    Returns:
        The pairs of the page, in the size that the model takes.

    Raises:
        InvalidInput: a marker is missing or not the sheet's, or several pages are in view.
    """
    vision = optional("cv2", extra="physical", needed_by="photo")
    page, corners = _markers(vision, photograph, sheet, name)
    places = np.array(marker_places(), np.float32)
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * (MARKER - 1)
    paper = (places[:, None] + square[None]).reshape(-1, 2)
    matrix, _ = vision.findHomography(paper, corners.reshape(-1, 2))
    return [
        CutOut(
            number,
            *(
                _image(vision, photograph, matrix, cell(row, column), sheet.shape)
                for column in (0, 1)
            ),
        )
        for number, row in sheet.on_page(page)
    ]


def _markers(
    vision: Any,  # noqa: ANN401 - the module of an optional package
    photograph: NDArray[np.uint8],
    sheet: Sheet,
    name: str,
) -> tuple[int, NDArray[np.float32]]:
    """Return the page and the four corners of its four markers, (4, 4, 2)."""
    aruco = vision.aruco
    settings = aruco.DetectorParameters()
    settings.cornerRefinementMethod = aruco.CORNER_REFINE_SUBPIX
    detector = aruco.ArucoDetector(aruco.getPredefinedDictionary(aruco.DICT_4X4_50), settings)
    grey = vision.cvtColor(photograph, vision.COLOR_RGB2GRAY)
    corners, numbers, _ = detector.detectMarkers(grey)
    by_number: Mapping[int, NDArray[np.float32]] = {}
    if numbers is not None:
        by_number = {int(n): c.reshape(4, 2) for n, c in zip(numbers.ravel(), corners, strict=True)}
    known = {n: c for n, c in by_number.items() if n < sheet.pages * len(CORNERS)}
    pages = {number // len(CORNERS) for number in known}
    if len(pages) > 1:
        raise InvalidInput(
            f"photo {name} shows pages {', '.join(str(p + 1) for p in sorted(pages))}: photograph "
            "one page at a time"
        )
    page = pages.pop() if pages else 0
    needed = [page * len(CORNERS) + corner for corner in range(len(CORNERS))]
    missing = [CORNERS[i] for i, number in enumerate(needed) if number not in known]
    if missing:
        raise InvalidInput(
            f"photo {name} must show the four markers of a page of this sheet, missing: "
            f"{', '.join(missing)}; photograph the whole page, flat and in focus"
        )
    return page, np.stack([known[number] for number in needed])


def _image(
    vision: Any,  # noqa: ANN401 - the module of an optional package
    photograph: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    place: tuple[int, int, int],
    shape: tuple[int, int, int],
) -> NDArray[np.uint8]:
    """Cut an image out and bring it to its size."""
    channels, height, width = shape
    left, top, side = place
    fine = (width * _FINER, height * _FINER)
    # from the middle of a fine pixel to its place on the paper
    scale = np.array([side / fine[0], side / fine[1]])
    shift = np.array([left, top]) + (scale - 1) / 2
    to_paper = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]], [0, 0, 1]])
    flags = vision.INTER_LINEAR | vision.WARP_INVERSE_MAP
    warped = vision.warpPerspective(photograph, matrix @ to_paper, fine, flags=flags)
    small = vision.resize(warped, (width, height), interpolation=vision.INTER_AREA)
    if channels == 1:
        return np.asarray(vision.cvtColor(small, vision.COLOR_RGB2GRAY))[None]
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))
