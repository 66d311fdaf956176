"""What an image processor of Hugging Face does to pixels, as a scale and an order of colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epsball.errors import InvalidInput
from epsball.models.loading.request import Scale

_LEVELS = 255  # processors are given 8-bit images
# Settings of processors that change no pixel of an image which has the model's size already, or
# that are read below.
UNDERSTOOD = frozenset(
    {
        *("do_rescale", "rescale_factor", "rescale_offset"),
        *("do_normalize", "image_mean", "image_std", "include_top", "do_flip_channel_order"),
        *("do_resize", "size", "resample", "default_to_square", "do_center_crop", "crop_size"),
        *("crop_pct", "size_divisor", "ensure_multiple_of", "keep_aspect_ratio"),
        *("do_convert_rgb", "do_reduce_labels", "do_convert_annotations", "format"),
        *("image_processor_type", "feature_extractor_type", "processor_class", "auto_map"),
        *("use_fast", "data_format", "input_data_format", "return_tensors", "device"),
        *("disable_grouping", "image_seq_length", "num_labels", "id2label", "label2id"),
    }
)
_STEPS = frozenset({"do_normalize", "rescale_offset", "include_top", "do_flip_channel_order"})
_NEEDED = ("do_rescale", "do_normalize")


@dataclass(frozen=True)
class Pixels:
    """The steps of a processor, for images in [0, 1].

    Args:
        mean: subtracted per channel.
        std: divided by, likewise.
        flipped: the model wants blue, green, red.
        size: (height, width) of the images that the processor gives; None: any.
    """

    mean: Scale
    std: Scale
    flipped: bool
    size: tuple[int, int] | None


def read_processor(spec: str, settings: Mapping[str, Any], hf: Any) -> Pixels:  # noqa: ANN401
    """Translate the settings of a processor.

    Args:
        spec: as the model was asked for, for messages.
        settings: the content of preprocessor_config.json.
        hf: the package transformers; it has the defaults of each class of processors.

    Raises:
        InvalidInput: a setting is not understood, or is left to a class that transformers lacks.
    """
    kind = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")
    defaults = _defaults(spec, kind, settings, hf)
    # a class ignores the steps that it does not have, even where a file lists them
    absent = dict.fromkeys(_STEPS - defaults.keys(), False) if defaults else {}
    steps = {**defaults, **settings, **absent}
    unknown = [key for key, value in steps.items() if value and key not in UNDERSTOOD]
    if strange := [key for key in unknown if not key.startswith("_")]:
        key = strange[0]
        raise InvalidInput(
            f"{spec}: its image processor has a setting that is not understood, "
            f"{key}={str(steps[key])[:60]}: load the model with FILE.py:factory, whose forward "
            "does what the processor does"
        )
    mean, std = _scale(spec, steps)
    flipped = bool(steps.get("do_flip_channel_order"))
    if flipped and len(set(mean)) + len(set(std)) > 2:  # one value each
        raise InvalidInput(
            f"{spec}: its image processor reverses the colours and scales each by its own mean, in "
            "an order that is not known: load the model with FILE.py:factory"
        )
    return Pixels(mean, std, flipped, _size(steps))


def _defaults(spec: str, kind: str, settings: Mapping[str, Any], hf: Any) -> dict[str, Any]:  # noqa: ANN401
    if not kind:  # files of the first versions state every step
        return {}
    name = kind.replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast")
    processor = getattr(hf, name, None)
    if processor is not None:
        defaults: dict[str, Any] = processor().to_dict()
        return defaults
    needed = [*_NEEDED, *(["rescale_factor"] if settings.get("do_rescale", True) else [])]
    needed += ["image_mean", "image_std"] if settings.get("do_normalize", True) else []
    if missing := [key for key in needed if key not in settings]:
        raise InvalidInput(
            f"{spec}: its image processor leaves {', '.join(missing)} to the class {kind}, which "
            "this version of transformers lacks: install one that has it, or load the model with "
            "FILE.py:factory"
        )
    return {}


def _scale(spec: str, steps: Mapping[str, Any]) -> tuple[Scale, Scale]:
    """Compose the affine steps of each channel: x in [0, 1] to a * x + b."""
    rescale = steps.get("do_rescale", True)
    slope = _LEVELS * float(steps.get("rescale_factor") or 1 / _LEVELS) if rescale else _LEVELS
    shift = -1.0 if rescale and steps.get("rescale_offset") else 0.0
    mean = _channels(steps.get("image_mean"), 0.0)
    std = _channels(steps.get("image_std"), 1.0)
    normalises = steps.get("do_normalize", True) and steps.get("image_mean")
    twice = bool(steps.get("include_top"))  # EfficientNet's own step
    if twice and steps.get("image_std") is None:
        raise InvalidInput(f"{spec}: its image processor divides by an image_std it does not state")
    count = max(len(mean), len(std))
    means, stds = (values * count if len(values) == 1 else values for values in (mean, std))
    out_mean, out_std = [], []
    for m, s in zip(means, stds, strict=True):
        a, b = (slope / s, (shift - m) / s) if normalises else (slope, shift)
        a, b = (a / s, b / s) if twice else (a, b)
        out_mean.append(-b / a)
        out_std.append(1 / a)
    if not normalises and not twice:
        out_mean, out_std = out_mean[:1], out_std[:1]
    return tuple(out_mean), tuple(out_std)


def _channels(values: float | Sequence[float] | None, otherwise: float) -> list[float]:
    if values is None:
        return [otherwise]
    return [float(values)] if isinstance(values, int | float) else [float(v) for v in values]


def _size(steps: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the size of what the processor gives, where it does not follow the image's own."""
    if steps.get("do_center_crop"):
        return _sides(steps.get("crop_size"))
    return _sides(steps.get("size")) if steps.get("do_resize") else None


def _sides(size: object) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple) and len(size) == 2:  # height and width
        return int(size[0]), int(size[1])
    if isinstance(size, Mapping):
        if size.get("height") and size.get("width"):
            return int(size["height"]), int(size["width"])
        if side := size.get("shortest_edge"):
            return int(side), int(side)
    return None
