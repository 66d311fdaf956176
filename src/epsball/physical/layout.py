"""Where images and markers lie on a printed page. Imports no torch and no OpenCV."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from epsball.errors import InvalidInput
from epsball.files import write_bytes

SHEET = "sheet.json"
DPI = 300
WIDTH, HEIGHT = 2480, 3508  # A4 at 300 dots an inch
MARKER = 260  # side of a marker, 22 mm
MARGIN = 120  # from the edge of the page to a marker; printers leave some 5 mm white
CORNERS = ("top left", "top right", "bottom right", "bottom left")
ROWS, COLUMNS = 3, 2  # a pair a row: clean on the left, adversarial on the right
_SIDE = 800  # of a printed image, 68 mm
_TOP, _DOWN = 420, 890  # first row, and from row to row
_LEFT, _RIGHT = 330, 1350
MARKERS = 50  # of the dictionary DICT_4X4_50
MOST_PAIRS = MARKERS // len(CORNERS) * ROWS


@dataclass(frozen=True)
class Pair:
    """One printed pair.

    Args:
        index: position of the image in its data set.
        label: the true class.
        clean_prediction: what the model says of the clean image, in 8 bits.
        prediction: likewise of the adversarial one.
    """

    index: int
    label: int
    clean_prediction: int
    prediction: int


@dataclass(frozen=True)
class Sheet:
    """A printed sheet: which pairs are where, and how they were made.

    Args:
        pairs: in reading order.
        shape: (c, h, w) of an image.
        class_names: of the labels, in the model's order.
        model: as it was asked for.
        attack: with its settings.
        norm: of the ball.
        eps: its radius.
    """

    pairs: tuple[Pair, ...]
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    model: str
    attack: str
    norm: str
    eps: float

    @property
    def pages(self) -> int:
        """Return the number of pages."""
        return -(-len(self.pairs) // ROWS)

    def on_page(self, page: int) -> Iterator[tuple[int, int]]:
        """Return (number of the pair, its row) for the pairs of a page, from 0."""
        for row in range(ROWS):
            number = page * ROWS + row
            if number < len(self.pairs):
                yield number, row


def cell(row: int, column: int) -> tuple[int, int, int]:
    """Return left, top and side of a printed image, in dots."""
    return (_LEFT, _RIGHT)[column], _TOP + row * _DOWN, _SIDE


def marker_places() -> tuple[tuple[int, int], ...]:
    """Return left and top of the markers, in the order of `CORNERS`."""
    right, bottom = WIDTH - MARGIN - MARKER, HEIGHT - MARGIN - MARKER
    return (MARGIN, MARGIN), (right, MARGIN), (right, bottom), (MARGIN, bottom)


def write_sheet(sheet: Sheet, folder: Path) -> Path:
    """Write sheet.json."""
    return write_bytes(folder / SHEET, (json.dumps(asdict(sheet), indent=1) + "\n").encode())


def read_sheet(folder: Path) -> Sheet:
    """Read what `write_sheet` wrote.

    Raises:
        InvalidInput: the folder holds none, or a damaged one.
    """
    file = folder / SHEET
    if not file.is_file():
        raise InvalidInput(
            f"{folder} holds no {SHEET}: name a directory that `epsball sheet --out` made"
        )
    try:
        values: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        pairs = tuple(Pair(**pair) for pair in values["pairs"])
        shape = tuple(values["shape"])
        names = tuple(values["class_names"])
        return Sheet(**{**values, "pairs": pairs, "shape": shape, "class_names": names})
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInput(f"{file} is damaged ({error}): make the sheet again") from None
