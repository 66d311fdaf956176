"""The image strips of a study: one image under a row of eps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epsball.files import read_npz
from epsball.report.drawing.numbers import distance, percent
from epsball.report.drawing.pixels import SHARP, data_address, magnify
from epsball.report.drawing.strips import Strip, Tile


def study_strip(block: Mapping[str, Any], out: Path) -> Strip | None:
    """Lay a strip out.

    Args:
        block: a strip as `epsball.studies.claims.story` describes it, as plain data.
        out: the study's directory.

    Returns:
        The strip; None where its images were not kept.
    """
    file = out / str(block["file"])
    if not file.exists():
        return None
    images = read_npz(file)["images"]
    tiles = []
    for tile, image in zip(block["tiles"], images, strict=True):
        shown, factor = magnify(image - images[0])
        attacked = tile["eps"] > 0
        texts = (
            _verdict(tile["right"], attacked=attacked),
            str(tile["prediction"]),
            percent(tile["confidence"], digits=0),
        )
        head = f"eps {distance(tile['eps'])}" if attacked else "original"
        alt = f"An image of {block['label']}, {head}"
        change = (data_address(shown), factor) if attacked else ("", 0)
        tiles.append(Tile(head, data_address(image), alt, *texts, *change))
    sharp = max(images.shape[-2:]) <= SHARP
    return Strip(str(block["title"]), str(block["attack"]), sharp, tiles)


def _verdict(right: bool, *, attacked: bool) -> str:  # noqa: FBT001 - what the record says
    if attacked:
        return "held" if right else "fooled"
    return "right" if right else "wrong"
