from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.fakes import Refusal
from torch import Tensor

from epsball.models.loading.hub_processor import Pixels, read_processor

IMAGES = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
MEAN, STD = [0.485, 0.456, 0.406], [0.4785, 0.4733, 0.4743]


def column(values: Any) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1)


def shown(pixels: Pixels, images: Tensor) -> Tensor:
    images = images.flip(-3) if pixels.flipped else images
    return (images - column(pixels.mean)) / column(pixels.std)


STEPS = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
CASES: dict[str, tuple[dict[str, Any], Tensor]] = {
    "plain": ({"image_mean": MEAN, "image_std": STD}, (IMAGES - column(MEAN)) / column(STD)),
    "offset": (
        {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
        2 * IMAGES - 1,
    ),
    "divided twice": (
        {"image_mean": MEAN, "image_std": STD, "include_top": True},
        (IMAGES - column(MEAN)) / column(STD) / column(STD),
    ),
    "colours turned": ({"do_normalize": False, "do_flip_channel_order": True}, IMAGES.flip(1)),
    "levels": ({"do_rescale": False, "do_normalize": False}, 255 * IMAGES),
}


@pytest.mark.parametrize("name", CASES)
def test_steps_of_a_processor_are_followed(name: str) -> None:
    settings, expected = CASES[name]
    pixels = read_processor("hf:x", STEPS | settings, SimpleNamespace())
    assert torch.allclose(shown(pixels, IMAGES), expected, atol=1e-4)


def test_a_step_that_is_not_understood_is_refused(refusal: Refusal) -> None:
    settings = {"image_mean": MEAN, "image_std": STD, "do_swirl": 3}
    message = refusal(lambda: read_processor("hf:x", settings, SimpleNamespace()))
    assert "do_swirl=3" in message
    assert "FILE.py:factory" in message
    read_processor("hf:x", settings | {"do_swirl": False}, SimpleNamespace())


def test_defaults_of_a_class_are_asked_for(refusal: Refusal) -> None:
    class NewImageProcessor:
        def to_dict(self) -> dict[str, Any]:
            return STEPS | {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}

    settings = {"image_processor_type": "NewImageProcessorFast", "do_normalize": True}
    message = refusal(lambda: read_processor("hf:x", settings, SimpleNamespace()))
    assert "leaves do_rescale, rescale_factor, image_mean, image_std to the class" in message
    pixels = read_processor("hf:x", settings, SimpleNamespace(NewImageProcessor=NewImageProcessor))
    assert torch.allclose(shown(pixels, IMAGES), 2 * IMAGES - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"do_resize": True, "size": 224}, (224, 224)),
        ({"do_resize": True, "size": {"height": 64, "width": 48}}, (64, 48)),
        (
            {
                "do_resize": True,
                "size": {"shortest_edge": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            (224, 224),
        ),
        ({"do_resize": False, "size": 224}, None),
    ],
)
def test_size_of_what_a_processor_gives(settings: dict[str, Any], size: Any) -> None:
    assert read_processor("hf:x", STEPS | settings, SimpleNamespace()).size == size


KINDS = ["ViT", "Beit", "ConvNext", "EfficientNet", "MobileViT", "MobileNetV2", "Levit", "Bit"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_the_real_processor(kind: str, torchvision: object) -> None:
    hf = pytest.importorskip("transformers")
    from PIL import Image

    kept = {"do_resize": False, "do_center_crop": False}
    processor = getattr(hf, f"{kind}ImageProcessor")(**kept)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    theirs = processor(images=Image.fromarray(pixels), return_tensors="pt")["pixel_values"][0]
    settings = kept | {"image_processor_type": f"{kind}ImageProcessor"}
    images = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    ours = shown(read_processor("hf:x", settings, hf), images)
    assert torch.allclose(ours, theirs, atol=1e-5)
