"""How images are written into an HTTP request."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epsball.errors import InvalidInput

IMAGES, IMAGE = "$images", "$image"


@dataclass(frozen=True)
class Encoding:
    """One way of sending images.

    Args:
        content_type: of the request's body.
        write: (n, c, h, w) images of one request to its body.
        eight_bits: whether images are rounded to 8 bits before they are sent.
        single: whether a request holds one image only.
    """

    content_type: str
    write: Callable[[NDArray[Any]], bytes]
    eight_bits: bool = False
    single: bool = False


def _npy(images: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, images, allow_pickle=False)
    return stream.getvalue()


def _png(images: NDArray[Any]) -> bytes:
    from PIL import Image

    pixels = images[0].transpose(1, 2, 0)  # (h, w, c)
    if pixels.shape[2] not in (1, 3):
        raise InvalidInput(
            f"oracle: a PNG has 1 or 3 channels, got images with {pixels.shape[2]}: use "
            "--request npy or a JSON template"
        )
    stream = io.BytesIO()
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


ENCODINGS: Mapping[str, Encoding] = {
    "npy": Encoding("application/x-npy", _npy),
    "npy8": Encoding("application/x-npy", _npy, eight_bits=True),
    "png": Encoding("image/png", _png, eight_bits=True, single=True),
}


def named_encoding(text: str) -> Encoding:
    """Return the encoding of a request: a name of `ENCODINGS`, or a JSON template.

    Args:
        text: "npy" (float32), "npy8", "png", or JSON in which the string "$images" stands for a
            nested list (n, c, h, w) of floats in [0, 1], or "$image" for one (c, h, w).

    Raises:
        InvalidInput: neither a known name nor a JSON template with one placeholder.

    Example:
        >>> named_encoding('{"inputs": "$images"}').write(np.zeros((1, 1, 1, 2)))
        b'{"inputs": [[[[0.0, 0.0]]]]}'
    """
    if text in ENCODINGS:
        return ENCODINGS[text]
    remedy = f'name one of {", ".join(ENCODINGS)} or a template such as {{"images": "$images"}}'
    try:
        template = json.loads(text)
    except ValueError:
        raise InvalidInput(f"oracle: --request {text!r} is no JSON: {remedy}") from None
    holes = text.count(f'"{IMAGES}"') + text.count(f'"{IMAGE}"')
    if holes != 1:
        raise InvalidInput(
            f"oracle: the template must hold one string {IMAGES} or {IMAGE}, got {holes}: {remedy}"
        )
    single = f'"{IMAGE}"' in text

    def write(images: NDArray[Any]) -> bytes:
        values = {IMAGE: images[0].tolist()} if single else {IMAGES: images.tolist()}
        return json.dumps(_filled(template, values)).encode()

    return Encoding("application/json", write, single=single)


def _filled(template: Any, given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(template, dict):
        return {key: _filled(value, given) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, given) for value in template]
    return given.get(template, template) if isinstance(template, str) else template
