"""The saliency of clean and attacked images, side by side. Never imports torch."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epsball.evaluation.records.schema import SALIENCY
from epsball.files import read_npz
from epsball.report.audit.run import Run, Setting
from epsball.report.drawing.numbers import brief
from epsball.report.drawing.pixels import SHARP, data_address
from epsball.report.drawing.strips import Strip, Tile

_TITLES = {
    "gradient": "input gradient",
    "integrated": "integrated gradients",
    "grad-cam": "Grad-CAM",
}


class Explained(NamedTuple):
    """What the section shows.

    Args:
        words: the attack, as a reader would say it.
        strips: two an image: clean, then attacked.
        features: of the first image, clean, then attacked; empty without a convolution.
        units: of the last convolution, those that the attack raises most; empty without one.
    """

    words: str
    strips: list[Strip]
    features: list[Strip]
    units: list[Strip]


def saliency_strips(run: Run) -> Explained | None:
    """Lay out the maps of a run; None where none were computed."""
    file: Path = run.path / SALIENCY
    if not file.exists():
        return None
    columns = read_npz(file)
    variant, norm, eps = columns["setting"].tolist()
    setting = Setting(variant, norm, float(eps))
    strips = []
    for row, (position, label) in enumerate(
        zip(columns["positions"], columns["labels"], strict=True)
    ):
        for prefix, how in (("clean_", "clean"), ("", setting.words)):
            said = int(columns[f"{prefix}classes"][row])
            tiles = _tiles(columns, prefix, row, brief(run.names[said], 40), said == int(label))
            title = f"\u201c{brief(run.names[int(label)], 60)}\u201d (image {int(position)})"
            sharp = max(columns["images"].shape[-2:]) <= SHARP
            strips.append(Strip(title, how, sharp, tiles))
    if "unit_images" not in columns:
        return Explained(setting.words, strips, [], [])
    return Explained(setting.words, strips, *_inside(columns, setting.words))


def _inside(
    columns: dict[str, NDArray[np.float32]], attack: str
) -> tuple[list[Strip], list[Strip]]:
    """Lay out feature maps and units."""
    layer, channels = str(columns["feature_layer"]), columns["feature_channels"].tolist()
    features = []
    for prefix, how in (("clean_", "clean"), ("", attack)):
        maps = columns[f"{prefix}features"][0]
        tiles = [
            Tile(f"channel {channel}", data_address(one[None]), f"Channel {channel}", "", "", "")
            for channel, one in zip(channels, maps, strict=True)
        ]
        sharp = max(maps.shape[-2:]) <= SHARP
        features.append(Strip(f"Layer {layer}, the first image", how, sharp, tiles))
    tiles = [
        Tile(
            f"channel {channel}",
            data_address(image),
            f"What drives channel {channel} most",
            "",
            f"{before:.3g} when clean, {after:.3g} attacked",
            "",
        )
        for channel, image, before, after in zip(
            columns["unit_channels"].tolist(),
            columns["unit_images"],
            columns["unit_clean"].tolist(),
            columns["unit_attacked"].tolist(),
            strict=True,
        )
    ]
    sharp = max(columns["unit_images"].shape[-2:]) <= SHARP
    return features, [Strip(f"Layer {columns['unit_layer']}", attack, sharp, tiles)]


def _tiles(
    columns: dict[str, NDArray[np.float32]],
    prefix: str,
    row: int,
    said: str,
    right: bool,  # noqa: FBT001 - what the model said
) -> list[Tile]:
    verdict = "right" if right else "wrong"
    image = columns[f"{prefix}images"][row]
    shown = Tile("image", data_address(image), "The image", verdict, said, "")
    maps = [
        Tile(title, data_address(columns[f"{prefix}map_{name}"][row][None]), title, "", "", "")
        for name, title in _TITLES.items()
        if f"{prefix}map_{name}" in columns
    ]
    return [shown, *maps]
