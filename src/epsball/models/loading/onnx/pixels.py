"""The pixel range and layout that the metadata of an ONNX file state."""

from dataclasses import dataclass
from typing import Any, Literal

from epsball.errors import InvalidInput

_FORMATS: dict[str, Literal["rgb", "bgr", "gray"]] = {
    "gray8": "gray",
    "rgb8": "rgb",
    "bgr8": "bgr",
}
_HALF = (0.5,)


@dataclass(frozen=True)
class Pixels:
    """The range and the order of colours that a file declares; None where it does not.

    Args:
        input_range: the brightest value, 255 for levels.
        mean: that puts pixels into the declared range.
        std: likewise.
        channels: "rgb", "bgr" or "gray".
    """

    input_range: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: Literal["rgb", "bgr", "gray"] | None = None


def read_pixels(spec: str, model: Any) -> Pixels:  # noqa: ANN401  # a ModelProto, untyped
    """Read a file's metadata about its images.

    Args:
        spec: as the model was asked for, for messages.
        model: the ModelProto.

    Raises:
        InvalidInput: the declared range or light is one that images are not brought into.

    Source: ONNX, docs/MetadataProps.md: Image.BitmapPixelFormat, Image.NominalPixelRange and
        Image.ColorSpaceGamma.
    """
    stated = {entry.key.casefold(): entry.value.casefold() for entry in model.metadata_props}
    channels = _FORMATS.get(stated.get("image.bitmappixelformat", ""))
    declared = stated.get("image.nominalpixelrange", "")
    if stated.get("image.colorspacegamma") == "linear":
        raise InvalidInput(
            f"{spec} declares pixels in linear light, which images are not: take "
            "Image.ColorSpaceGamma out of its metadata if it was trained on ordinary images, or "
            "convert them inside the model and load it with FILE.py:factory"
        )
    if declared == "nominalrange_0_255":
        return Pixels(255.0, channels=channels)
    if declared == "normalized_1_1":
        return Pixels(mean=_HALF, std=_HALF, channels=channels)
    if declared == "nominalrange_16_235":
        raise InvalidInput(
            f"{spec} declares pixels from 16 to 235, which are not made here: take "
            "Image.NominalPixelRange out of its metadata and give --mean and --std"
        )
    return Pixels(channels=channels)
