"""Pages are rendered as a telephone would see them, and read back."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from epsball.errors import InvalidInput
from epsball.physical.layout import MOST_PAIRS, Pair, Sheet, read_sheet, write_sheet
from epsball.physical.photographs import cut_out, read_photograph
from epsball.physical.printing import draw_pages, write_pdf

RNG = np.random.default_rng(0)
Pixels = NDArray[np.uint8]


def smooth(count: int, channels: int = 3, side: int = 32) -> Pixels:
    coarse = RNG.integers(0, 256, (count, 4, 4, channels), dtype=np.uint8)
    fine = [cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in coarse]
    return np.stack(fine).reshape(count, side, side, channels).transpose(0, 3, 1, 2).copy()


CLEAN, MOVED = smooth(4), smooth(4)


def sheet_of(count: int, shape: tuple[int, int, int] = (3, 32, 32)) -> Sheet:
    pairs = tuple(Pair(i, 0, 0, 1) for i in range(count))
    return Sheet(pairs, shape, ("cat", "dog"), "zoo:x", "fgsm", "linf", 16 / 255)


def rendered(page: Image.Image, *, tilt: float = 0.08, noise: float = 3.0, turn: int = 0) -> Pixels:
    """A photograph of a page on a dark table: tilted, smaller, noisy."""
    pixels = np.asarray(page)
    height, width = pixels.shape[:2]
    out = (1500, 2000)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    seen = np.array([[0.1, 0.06], [0.9, 0.06 + tilt], [0.94, 0.95], [0.06 + tilt, 0.93]]) * out
    matrix = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    shot = cv2.warpPerspective(pixels, matrix, out, borderValue=(40, 40, 40), flags=cv2.INTER_AREA)
    shot = cv2.GaussianBlur(shot, (0, 0), 0.8)
    shot = np.clip(shot + RNG.normal(0, noise, shot.shape), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.rot90(shot, turn))


@pytest.mark.parametrize(("tilt", "turn"), [(0.0, 0), (0.08, 0), (0.05, 1), (0.05, 2)])
def test_what_was_printed_comes_back(tilt: float, turn: int) -> None:
    sheet = sheet_of(3)
    page = draw_pages(sheet, CLEAN[:3], MOVED[:3])[0]
    result = cut_out(rendered(page, tilt=tilt, turn=turn), sheet, "photo")
    assert [one.pair for one in result] == [0, 1, 2]
    for one, clean, moved in zip(result, CLEAN, MOVED, strict=False):
        for got, put in ((one.clean, clean), (one.adversarial, moved)):
            assert got.shape == put.shape
            assert np.abs(got.astype(int) - put.astype(int)).mean() < 6
            assert np.abs(got.astype(int) - np.roll(put, 2, axis=2).astype(int)).mean() > 6


def test_the_second_page_is_known_by_its_markers() -> None:
    sheet = sheet_of(4)
    pages = draw_pages(sheet, CLEAN, MOVED)
    assert len(pages) == 2
    assert [one.pair for one in cut_out(rendered(pages[1]), sheet, "photo")] == [3]


def test_grey_images_come_back_grey() -> None:
    grey = smooth(1, channels=1)
    sheet = sheet_of(1, (1, 32, 32))
    result = cut_out(rendered(draw_pages(sheet, grey, grey)[0]), sheet, "photo")
    assert result[0].clean.shape == (1, 32, 32)
    assert np.abs(result[0].clean.astype(int) - grey[0].astype(int)).mean() < 6


def test_a_missing_marker_is_named() -> None:
    sheet = sheet_of(1)
    page = draw_pages(sheet, CLEAN, MOVED)[0]
    page.paste("white", (1900, 0, 2480, 600))
    with pytest.raises(InvalidInput, match="missing: top right; photograph the whole page"):
        cut_out(rendered(page), sheet, "photo")
    with pytest.raises(InvalidInput, match="missing: top left, top right, bottom right"):
        cut_out(np.zeros((200, 300, 3), np.uint8), sheet, "photo")


def test_two_pages_in_one_photograph_are_refused() -> None:
    sheet = sheet_of(4)
    both = np.concatenate([rendered(page) for page in draw_pages(sheet, CLEAN, MOVED)], axis=1)
    with pytest.raises(InvalidInput, match="shows pages 1, 2"):
        cut_out(both, sheet, "photo")


def test_too_many_pairs_are_refused() -> None:
    with pytest.raises(InvalidInput, match=f"1 to {MOST_PAIRS} pairs, got 40"):
        draw_pages(sheet_of(40), CLEAN, MOVED)


def test_the_sheet_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_sheet(sheet_of(2), tmp_path)
    assert read_sheet(tmp_path) == sheet_of(2)
    (tmp_path / "sheet.json").write_text("{}")
    with pytest.raises(InvalidInput, match="is damaged"):
        read_sheet(tmp_path)
    with pytest.raises(InvalidInput, match="holds no sheet.json"):
        read_sheet(tmp_path / "elsewhere")


def test_the_pdf_has_a_page_for_three_pairs(tmp_path: Path) -> None:
    write_pdf(draw_pages(sheet_of(4), CLEAN, MOVED), tmp_path / "sheet.pdf")
    content = (tmp_path / "sheet.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/Count 2" in content


def test_a_photograph_is_turned_as_exif_says(tmp_path: Path) -> None:
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_photograph(tmp_path / "turned.png"), upright)


def test_photographs_of_any_kind_become_rgb(tmp_path: Path) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).convert("CMYK").save(tmp_path / "cmyk.tiff")
    deep = Image.fromarray(np.full((8, 8), 65535, np.uint16))
    deep.save(tmp_path / "deep.png")
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    frames = [Image.fromarray(red), Image.new("RGB", (8, 8), "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert np.abs(read_photograph(tmp_path / "cmyk.tiff").astype(int) - red).max() < 5
    assert (read_photograph(tmp_path / "deep.png") == 255).all()
    assert (read_photograph(tmp_path / "clear.png") == 255).all()
    assert np.array_equal(read_photograph(tmp_path / "moving.gif"), red)


def test_what_is_no_photograph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(InvalidInput, match="does not decode"):
        read_photograph(tmp_path / "text.jpg")
    with pytest.raises(InvalidInput, match="no such file"):
        read_photograph(tmp_path / "none.jpg")
