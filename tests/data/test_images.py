from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from epsball.data import load_data
from epsball.data.sources.folder_tree import EXTENSIONS
from epsball.errors import InvalidInput

MakeImage = Callable[..., Path]
Refusal = Callable[..., str]


def _pixels(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(file) as opened:
        return np.asarray(opened.convert("RGB")).transpose(2, 0, 1)


@pytest.mark.parametrize("ending", EXTENSIONS)
def test_every_format_is_read(ending: str, tmp_path: Path, make_image: MakeImage) -> None:
    mode = "L" if ending == ".pgm" else "RGB"
    file = make_image(tmp_path / "only" / f"one{ending}", mode)
    loaded = load_data(f"folder:{tmp_path}")
    channels = 1 if mode == "L" else 3
    assert loaded.shape == (channels, 5, 6)
    assert (loaded.read(np.array([0]))[0] == _pixels(file)[:channels]).all()


@pytest.mark.parametrize("ending", EXTENSIONS)
def test_truncated_image_is_refused_or_whole(
    ending: str, tmp_path: Path, make_image: MakeImage
) -> None:
    file = make_image(
        tmp_path / "only" / f"one{ending}", "L" if ending == ".pgm" else "RGB", (40, 30)
    )
    whole, pixels = file.read_bytes(), load_data(f"folder:{tmp_path}").read(np.array([0]))
    refused = 0
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        file.write_bytes(whole[:length])
        try:  # a few formats end in bytes that the pixels do not need
            assert (load_data(f"folder:{tmp_path}").read(np.array([0])) == pixels).all()
        except InvalidInput as error:
            refused += str(file) in str(error)
    assert refused > 50


# what becomes of each mode: channels, and the image's only colour
MODES = {
    "1": (1, [255]),
    "L": (1, [200]),
    "LA": (1, [200]),
    "P": (3, [200, 10, 30]),
    "RGB": (3, [200, 10, 30]),
    "RGBA": (3, [200, 10, 30]),
    "I;16": (1, [100]),
}


@pytest.mark.parametrize("mode", MODES)
def test_channels_follow_the_first_image(mode: str, tmp_path: Path) -> None:
    colours: dict[str, float | tuple[float, ...]]
    colours = {"1": 1, "L": 200, "LA": (200, 9), "RGBA": (200, 10, 30, 9), "I;16": 25700}
    (tmp_path / "only").mkdir()
    if mode == "P":
        palette = Image.new("RGBA", (4, 4), (200, 10, 30, 255)).quantize()
        palette.save(tmp_path / "only" / "a.png", transparency=b"\x00" * 4)
    else:
        Image.new(mode, (4, 4), colours.get(mode, (200, 10, 30))).save(tmp_path / "only" / "a.png")
    loaded = load_data(f"folder:{tmp_path}")
    channels, colour = MODES[mode]
    assert loaded.shape == (channels, 4, 4)
    assert loaded.read(np.array([0]))[0, :, 2, 3].tolist() == colour


def test_colour_is_kept_whichever_image_has_it(tmp_path: Path) -> None:
    for first, second in (("L", "RGB"), ("RGB", "L")):
        place = tmp_path / first
        (place / "only").mkdir(parents=True)
        for name, mode in (("a", first), ("b", second)):
            Image.new(mode, (4, 4), 77 if mode == "L" else (77, 77, 77)).save(
                place / f"only/{name}.png"
            )
        pixels = load_data(f"folder:{place}").read(np.arange(2))
        assert pixels.shape == (2, 3, 4, 4)
        assert (pixels == 77).all()


def test_sixteen_bits_are_rounded_to_eight(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    deep = np.array([[0, 128, 129, 65535], [257, 32768, 65406, 65407]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "only" / "a.png")
    pixels = load_data(f"folder:{tmp_path}").read(np.array([0]))
    assert (pixels[0, 0] == np.rint(deep / 257)).all()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused(mode: str, tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "only").mkdir()
    Image.new(mode, (4, 4), 70).save(tmp_path / "only" / "a.tif")
    message = refusal(load_data(f"folder:{tmp_path}").read, np.array([0]))
    assert f"{tmp_path}/only/a.tif has 32-bit pixels" in message


def test_exif_orientation_is_ignored(tmp_path: Path, make_image: MakeImage) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter when shown
    make_image(tmp_path / "only" / "a.png", exif=exif)
    assert load_data(f"folder:{tmp_path}").shape == (3, 5, 6)
