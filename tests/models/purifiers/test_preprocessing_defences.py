"""Preprocessing defences do what they say, and are built by name."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from epsball.errors import InvalidInput
from epsball.models.purifiers.bit_depth import BitDepth
from epsball.models.purifiers.jpeg import JpegCompression
from epsball.models.purifiers.random_resizing import RandomResizing
from epsball.models.purifiers.smoothing import Smoothing
from epsball.models.purifiers.table import DEFENCES, defence_named


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# what every step of the table promises


@pytest.mark.parametrize("name", DEFENCES)
@pytest.mark.parametrize("shape", [(3, 1, 9, 7), (2, 3, 16, 16), (0, 3, 8, 8)])
def test_images_stay_images(name: str, shape: tuple[int, ...]) -> None:
    inputs = images(*shape)
    result = defence_named(name)(inputs.clone())
    assert result.shape == inputs.shape
    assert result.dtype == inputs.dtype
    assert ((result >= 0) & (result <= 1)).all()
    assert defence_named(name)(inputs.double()).dtype == torch.float64


@pytest.mark.parametrize("name", DEFENCES)
def test_table_is_what_the_steps_say(name: str) -> None:
    spec = DEFENCES[name]
    step = spec.build()
    assert spec.name == name
    assert step.remedy == spec.remedy
    assert hasattr(step, "stand_in") == (spec.remedy == "bpda")
    assert spec.summary.endswith(".")
    assert "arXiv:" in spec.source
    assert spec.source.rpartition(":")[2] in str(spec.build.__doc__)
    assert not step.training
    for knob, default in spec.knobs.items():
        assert f"{knob}={default}" in repr(step)


@pytest.mark.parametrize(
    "name", [name for name, one in DEFENCES.items() if one.remedy != "expectation"]
)
def test_a_image_is_washed_alike_in_any_batch(name: str) -> None:
    step, inputs = defence_named(name), images(5, 3, 8, 8)
    assert torch.equal(step(inputs)[2:4], step(inputs[2:4]))


# each against another way to do it


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [10, 75])
def test_jpeg_is_the_codecs(channels: int, quality: int) -> None:
    inputs = images(2, channels, 17, 12)
    result = JpegCompression(quality=quality)(inputs)
    for row in range(2):
        pixels = np.rint(inputs[row].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels.squeeze()).save(file, format="JPEG", quality=quality)
        value = np.asarray(Image.open(file)).reshape(pixels.shape)
        assert np.array_equal(value, np.rint(result[row].permute(1, 2, 0).numpy() * 255))
    assert (result - inputs).abs().max() > 1 / 255


def test_jpeg_lets_no_gradient_through() -> None:
    assert not JpegCompression()(images(1, 1, 8, 8).requires_grad_()).requires_grad


@settings(deadline=None)
@given(seed=st.integers(0, 99), bits=st.integers(1, 8))
def test_bits_round_to_the_nearest_grey(seed: int, bits: int) -> None:
    inputs = images(2, 1, 5, 5, seed=seed).requires_grad_()
    result = BitDepth(bits=bits)(inputs)
    top = 2**bits - 1
    assert torch.allclose((result * top).round(), result * top, atol=1e-4)
    assert ((result - inputs).abs() <= 0.5 / top + 1e-6).all()
    assert torch.equal(BitDepth(bits=bits)(result), result)
    (gradient,) = torch.autograd.grad(result.sum(), inputs)
    assert (gradient == 0).all()


@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 7])
def test_median_is_scipys(kernel: int) -> None:
    inputs = images(2, 3, 9, 6)
    expected = ndimage.median_filter(inputs.numpy(), size=(1, 1, kernel, kernel), mode="reflect")
    assert np.array_equal(Smoothing(kernel=kernel)(inputs).numpy(), expected)


@pytest.mark.parametrize("kernel", [2, 3, 5, 8])
def test_gaussian_is_a_bell_over_mirrored_images(kernel: int) -> None:
    inputs = images(2, 3, 9, 6).double()
    bell = np.exp(-0.5 * ((np.arange(kernel) - kernel // 2) / (0.15 * kernel + 0.35)) ** 2)
    window = np.outer(bell, bell)[None, None] / bell.sum() ** 2
    expected = ndimage.correlate(inputs.numpy(), window, mode="reflect")
    result = Smoothing(kernel=kernel, kind="gaussian")(inputs)
    assert np.allclose(result.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["median", "gaussian"])
def test_smoothing_has_its_own_derivative(kind: Any) -> None:
    inputs = images(1, 2, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(Smoothing(kernel=3, kind=kind), (inputs,))


def replayed(step: RandomResizing, inputs: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return what a step makes, and the numbers it draws for that."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        result = step(inputs)
        torch.manual_seed(seed)
        return result, torch.rand(3, len(inputs))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 200), smallest=st.floats(0.2, 1))
def test_resizing_is_interpolation_and_padding(seed: int, smallest: float) -> None:
    inputs = images(2, 3, 11, 8)
    result, drawn = replayed(RandomResizing(smallest=smallest), inputs, seed)
    for row, (shrink, down, right) in enumerate(drawn.T.tolist()):
        height, width = (
            least + int(shrink * (size - least + 1))
            for size, least in ((11, round(11 * smallest)), (8, round(8 * smallest)))
        )
        top, left = int(down * (11 - height + 1)), int(right * (8 - width + 1))
        small = interpolate(inputs[row : row + 1], size=(height, width), mode="bilinear")
        expected = pad(small, (left, 8 - width - left, top, 11 - height - top))
        assert torch.allclose(result[row], expected[0], atol=1e-5)


def test_resizing_draws_all_sizes_and_places_anew_for_every_image() -> None:
    white = torch.ones(3000, 1, 6, 6)
    torch.manual_seed(0)
    result = RandomResizing(smallest=0.5)(white)
    sides = result.sum((1, 2, 3)).sqrt().round().long()
    assert sides.unique().tolist() == [3, 4, 5, 6]
    smallest = result[sides == 3]
    corners = smallest.flatten(1).argmax(1)
    assert corners.unique().tolist() == [
        6 * down + right for down in range(4) for right in range(4)
    ]
    assert not torch.equal(RandomResizing()(white), RandomResizing()(white))


def test_resizing_to_the_full_size_is_nothing() -> None:
    inputs = images(4, 3, 10, 7)
    assert torch.equal(RandomResizing(smallest=1)(inputs), inputs)


# asking for them


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("jpeg", JpegCompression(quality=75)),
        ("jpeg:quality=30", JpegCompression(quality=30)),
        ("bit-depth: bits = 5", BitDepth(bits=5)),
        ("smoothing:kernel=2,kind=gaussian", Smoothing(kernel=2, kind="gaussian")),
        ("random-resizing:smallest=0.75", RandomResizing(smallest=0.75)),
    ],
)
def test_defences_are_built_by_name(text: str, step: nn.Module) -> None:
    assert repr(defence_named(text)) == repr(step)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jpg", "unknown defence 'jpg': did you mean 'jpeg'"),
        ("jpeg:level=3", "unknown setting of jpeg 'level': known: quality"),
        ("jpeg:75", "unknown setting of jpeg '75': known: quality"),
        ("jpeg:quality=high", "jpeg: quality must be a whole number, got 'high'"),
        ("jpeg:quality=0", "quality must be 1 to 100, got 0"),
        ("jpeg:quality=101", "quality must be 1 to 100, got 101"),
        ("bit-depth:bits=0", "bits must be 1 to 8, got 0"),
        ("bit-depth:bits=9", "bits must be 1 to 8, got 9"),
        ("smoothing:kernel=1", "kernel must be 2 to 31, got 1"),
        ("smoothing:kind=mean", "unknown kind of smoothing 'mean'"),
        ("random-resizing:smallest=0", "smallest must be above 0 and at most 1, got 0.0"),
        ("random-resizing:smallest=nan", "random-resizing: smallest must be a number, got 'nan'"),
        ("random-resizing:smallest=big", "smallest must be a number, got 'big'"),
    ],
)
def test_bad_requests_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        defence_named(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_that_do_not_fit() -> None:
    with pytest.raises(InvalidInput, match="must have 1 or 3 channels, got 2"):
        JpegCompression()(images(1, 2, 8, 8))
    with pytest.raises(InvalidInput, match="kernel must be at most 9 for images of 4 pixels"):
        Smoothing(kernel=10)(images(1, 1, 4, 20))
