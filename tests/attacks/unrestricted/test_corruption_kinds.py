"""Every corruption against what it is defined by."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from epsball.attacks.unrestricted.corruptions.corruptions import CORRUPTIONS, corrupt
from epsball.randomness import ImageStreams

WITHOUT_CHANCE = {
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
}
# their parameters trade one kind of distortion for another, in the source as well
UNORDERED = {("elastic_transform", 32), ("elastic_transform", 96)}


def slow(value: object) -> Any:
    return pytest.param(value, marks=pytest.mark.slow)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scenes(count: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Draw images with large forms and fine detail, as photographs have."""
    generator = seeded(seed)
    total = torch.zeros(count, channels, height, width)
    for side in (4, 8, 16, 32):
        coarse = torch.rand((count, channels, side, side), generator=generator)
        total += torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return ((total / 4 - 0.5) * 1.5 + 0.5).clamp(0, 1)


def rms(delta: Tensor) -> float:
    return float(delta.square().mean().sqrt())


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_results_are_images(kind: str) -> None:
    for shape in [(2, 3, 20, 33), (1, 1, 8, 8), (2, 2, 3, 4)]:
        x = torch.rand(shape, generator=seeded())
        for severity in (1, 3, 5):
            corrupted = corrupt(x, kind, severity, seeded())
            assert corrupted.shape == x.shape
            assert corrupted.dtype == x.dtype
            assert corrupted.min() >= 0
            assert corrupted.max() <= 1
    for value in (0.0, 1.0):
        assert corrupt(torch.full((1, 3, 12, 12), value), kind, 5, seeded()).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_large_images_work(kind: str) -> None:
    x = scenes(1, 1, 300, 290)
    adversarial = corrupt(x, kind, 5, seeded())
    assert adversarial.shape == x.shape
    assert adversarial.isfinite().all()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_seed_decides_and_nothing_else(kind: str) -> None:
    """Neither the precision, beyond rounding, nor the rest of the batch."""
    x = scenes(4, 3, 20, 24)
    for dtype in (torch.float64, torch.bfloat16):
        corrupted = corrupt(x.to(dtype), kind, 3, seeded())
        assert corrupted.dtype == dtype
        assert rms(corrupted.float() - corrupt(x, kind, 3, seeded())) < 0.02

    def run(rows: slice) -> Tensor:
        streams = ImageStreams.of(range(4)[rows], seed=0, purpose="corruptions")
        return corrupt(x[rows], kind, 4, streams)

    torch.testing.assert_close(run(slice(None))[1:3], run(slice(1, 3)), atol=1e-5, rtol=0)
    x = scenes(2, 3, 32, 32)
    clean = x.clone()
    first = corrupt(x, kind, 5, seeded(1))
    assert torch.equal(first, corrupt(x, kind, 5, seeded(1)))
    assert torch.equal(first, corrupt(x, kind, 5, seeded(2))) == (kind in WITHOUT_CHANCE)
    assert torch.equal(x, clean)
    assert rms(first - x) > 0.01


@pytest.mark.parametrize("side", [32, slow(96)])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_severity_adds_distance(kind: str, side: int) -> None:
    x = scenes(6, 3, side, side)
    far = [rms(corrupt(x, kind, severity, seeded()) - x) for severity in (1, 5)]
    assert (far[1] > 1.05 * far[0]) != ((kind, side) in UNORDERED)


@pytest.mark.parametrize("side", [64, 65])
def test_large_images_have_parameters_of_their_own(side: int) -> None:
    x = torch.full((1, 1, side, 16), 0.2)
    adversarial = corrupt(x, "brightness", 5)
    torch.testing.assert_close(adversarial, x + (0.3 if side == 64 else 0.5))


@pytest.mark.parametrize(("side", "spread"), [(64, 0.08), (80, 0.18)])
def test_gaussian_noise_has_its_spread(side: int, spread: float) -> None:
    noise = corrupt(torch.full((4, 1, side, side), 0.5), "gaussian_noise", 3, seeded()) - 0.5
    assert float(noise.std()) == pytest.approx(spread, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)


def test_shot_noise_counts_photons() -> None:
    adversarial = corrupt(torch.full((8, 1, 64, 64), 0.4), "shot_noise", 5, seeded())
    counts = adversarial * 50
    torch.testing.assert_close(counts, counts.round(), atol=1e-4, rtol=0)
    assert float(counts.mean()) == pytest.approx(20, rel=0.01)
    assert float(counts.var()) == pytest.approx(20, rel=0.05)


def test_impulse_noise_is_black_or_white_in_its_share() -> None:
    adversarial = corrupt(torch.full((8, 3, 64, 64), 0.5), "impulse_noise", 5, seeded())
    assert float((adversarial == 0).float().mean()) == pytest.approx(0.035, rel=0.1)
    assert float((adversarial == 1).float().mean()) == pytest.approx(0.035, rel=0.1)
    assert ((adversarial == 0) | (adversarial == 0.5) | (adversarial == 1)).all()


@pytest.mark.parametrize(
    "kind",
    [
        "defocus_blur",
        "glass_blur",
        "motion_blur",
        "zoom_blur",
        "contrast",
        "pixelate",
        "elastic_transform",
    ],
)
def test_nothing_to_blur_in_an_even_image(kind: str) -> None:
    # the reference code's widest disks weigh up to 1.3 % more than 1
    near = 1.3e-2 if kind == "defocus_blur" else 1e-5
    for side, severity in ((9, 1), (9, 5), (70, 1), (70, 5)):
        x = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, side, side)
        torch.testing.assert_close(corrupt(x, kind, severity, seeded()), x, atol=near, rtol=0)


def test_brightness_keeps_hue_and_saturation() -> None:
    x = torch.tensor([0.2, 0.4, 0.5]).view(1, 3, 1, 1)
    adversarial = corrupt(x, "brightness", 5).flatten()
    torch.testing.assert_close(adversarial, x.flatten() * 0.8 / 0.5)
    black = corrupt(torch.zeros(1, 3, 1, 1), "brightness", 5)
    torch.testing.assert_close(black, torch.full_like(black, 0.3))


def test_contrast_shrinks_around_the_mean_of_each_channel() -> None:
    x = scenes(2, 3, 16, 16)
    adversarial = corrupt(x, "contrast", 5)
    torch.testing.assert_close(adversarial.mean((2, 3)), x.mean((2, 3)))
    torch.testing.assert_close(adversarial.std((2, 3)), 0.15 * x.std((2, 3)))


@pytest.mark.parametrize(("shape", "share"), [((32, 28), 0.65), ((90, 70), 0.25)])
def test_pixelate_is_pillows(shape: tuple[int, int], share: float) -> None:
    height, width = shape
    x = scenes(1, 1, height, width)
    image = Image.fromarray(x[0, 0].numpy(), mode="F")
    coarse = image.resize((int(width * share), int(height * share)), Image.Resampling.BOX)
    expected = np.asarray(coarse.resize((width, height), Image.Resampling.BOX))
    adversarial = corrupt(x, "pixelate", 5)[0, 0]
    np.testing.assert_allclose(adversarial.numpy(), expected, atol=1e-5)


def test_jpeg_is_pillows() -> None:
    x = scenes(1, 3, 24, 16)
    file = io.BytesIO()
    pixels = (x[0] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file, "JPEG", quality=40)
    expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    torch.testing.assert_close(corrupt(x, "jpeg_compression", 5)[0], expected)


def test_fog_hides_the_image_behind_clouds_it_cannot_outshine() -> None:
    x = torch.cat((scenes(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)))
    adversarial = corrupt(x, "fog", 5, seeded())
    clouds = adversarial[0] / x[0].max() * (x[0].max() + 1.5) - x[0]
    assert -1e-5 < float(clouds.min()) < float(clouds.max()) < 1.5 + 1e-5
    assert (adversarial[1] == 0).all()


def test_frost_and_snow_add_light() -> None:
    x = 0.3 * scenes(4, 3, 32, 32)
    assert (corrupt(x, "frost", 1, seeded()) >= x).all()
    assert (corrupt(x, "snow", 3, seeded()) >= 0.999 * x).all()


def test_elastic_bends_but_adds_no_colour() -> None:
    x = scenes(3, 3, 32, 32)
    adversarial = corrupt(x, "elastic_transform", 5, seeded())
    assert (adversarial.amax((2, 3)) <= x.amax((2, 3)) + 1e-5).all()
    assert (adversarial.amin((2, 3)) >= x.amin((2, 3)) - 1e-5).all()
