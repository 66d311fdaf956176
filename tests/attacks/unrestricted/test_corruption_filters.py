"""The filters under the corruptions against scipy, and against loops written out."""

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from epsball.attacks.unrestricted.corruptions.blur import shuffled
from epsball.attacks.unrestricted.corruptions.digital import elastic_transform
from epsball.attacks.unrestricted.corruptions.filters import (
    Border,
    clipped_zoom,
    convolve,
    folded,
    gaussian_blur,
    motion_blur,
    sample,
)
from epsball.attacks.unrestricted.corruptions.noise import poisson
from epsball.attacks.unrestricted.corruptions.weather import ice, plasma
from epsball.randomness import uniform

SCIPY: dict[Border, str] = {"edge": "nearest", "mirror": "mirror", "reflect": "reflect"}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


@given(side=st.integers(1, 9), pad=st.integers(0, 30), border=st.sampled_from(list(SCIPY)))
def test_folding_is_scipys(side: int, pad: int, border: Border) -> None:
    index = torch.arange(-pad, side + pad)
    pixels = np.arange(side, dtype=float)
    expected = scipy.ndimage.map_coordinates(pixels, [index.numpy()], order=0, mode=SCIPY[border])
    assert folded(index, side, border).tolist() == expected.tolist()


@pytest.mark.parametrize("border", ["edge", "reflect"])
@pytest.mark.parametrize(("sigma", "truncate"), [(0.0, 4), (0.4, 4), (2.0, 3), (9.0, 3)])
def test_gaussian_blur_is_scipys(sigma: float, truncate: int, border: Border) -> None:
    x = drawn(2, 3, 12, 17)
    expected = scipy.ndimage.gaussian_filter(
        x.numpy(), (0, 0, sigma, sigma), truncate=truncate, mode=SCIPY[border]
    )
    result = gaussian_blur(x, sigma, truncate=truncate, border=border)
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)


def test_convolve_is_scipys_correlation_even_where_the_kernel_is_larger() -> None:
    x, kernel = drawn(1, 2, 7, 5), drawn(17, 9)
    result = convolve(x, kernel)
    for channel in (0, 1):
        expected = scipy.ndimage.correlate(x[0, channel].numpy(), kernel.numpy(), mode="mirror")
        np.testing.assert_allclose(result[0, channel].numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("border", SCIPY)
def test_sample_is_scipys(border: Border) -> None:
    x = drawn(2, 1, 9, 7)
    rows, columns = 40 * drawn(2, 9, 7, seed=1) - 15, 40 * drawn(2, 9, 7, seed=2) - 15
    result = sample(x, rows, columns, border)
    for i in (0, 1):
        expected = scipy.ndimage.map_coordinates(
            x[i, 0].numpy(), [rows[i].numpy(), columns[i].numpy()], order=1, mode=SCIPY[border]
        )
        np.testing.assert_allclose(result[i, 0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("factor", [1.0, 1.03, 1.2, 1.75, 4.5])
def test_clipped_zoom_is_the_middle_of_scipys_zoom(factor: float) -> None:
    side = 32
    x = drawn(1, 1, side, side)
    keep = math.ceil(side / factor)
    top = (side - keep) // 2
    middle = x[0, 0, top : top + keep, top : top + keep].numpy()
    large = scipy.ndimage.zoom(middle, factor, order=1)
    cut = (len(large) - side) // 2
    expected = large[cut : cut + side, cut : cut + side]
    np.testing.assert_allclose(clipped_zoom(x, factor)[0, 0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("degrees", "row", "column"), [(0, 0, -1), (90, -1, 0), (-90, 1, 0)])
def test_motion_blur_leaves_a_fading_trail(degrees: float, row: int, column: int) -> None:
    x = torch.zeros(1, 1, 21, 21)
    x[0, 0, 10, 10] = 1
    result = motion_blur(x, 3, 2.0, torch.tensor([degrees]))
    trail = torch.stack([result[0, 0, 10 + i * row, 10 + i * column] for i in range(7)])
    expected = torch.exp(-0.5 * (torch.arange(7.0) / 2) ** 2)
    torch.testing.assert_close(trail, expected / expected.sum())
    assert float(result.sum()) == pytest.approx(1)


def test_each_image_moves_its_own_way() -> None:
    x = drawn(2, 3, 9, 9)
    turned = torch.tensor([20.0, -40.0])
    both = motion_blur(x, 4, 2.0, turned)
    for i in (0, 1):
        alone = motion_blur(x[i : i + 1], 4, 2.0, turned[i : i + 1])
        torch.testing.assert_close(both[i : i + 1], alone)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 999), reach=st.integers(1, 4), h=st.integers(3, 16), w=st.integers(3, 16)
)
def test_shuffling_is_the_loop_of_the_reference_code(seed: int, reach: int, h: int, w: int) -> None:
    x = drawn(1, 2, h, w, seed=seed)
    result = shuffled(x, reach, torch.Generator().manual_seed(seed))
    chance = uniform(x.new_empty((1, 2, h, w)), torch.Generator().manual_seed(seed))
    away = (chance[0] * 2 * reach).long() - reach
    expected = x[0].clone()
    for row in range(h - reach, reach, -1):
        for column in range(w - reach, reach, -1):
            down, right = away[:, row, column].tolist()
            expected[:, row, column] = expected[:, row + down, column + right].clone()
    assert torch.equal(result[0], expected)


def test_poisson_numbers_are_the_exact_quantiles() -> None:
    mean = torch.cat((torch.linspace(0, 20, 20_000), torch.linspace(20, 600, 20_000))).double()
    chance = uniform(mean, torch.Generator().manual_seed(0))
    expected = scipy.stats.poisson.ppf(chance.numpy(), mean.numpy()).clip(0)
    wrong = poisson(mean, chance).numpy() - expected
    assert (wrong != 0).mean() < 2e-4
    assert abs(wrong).max() <= 1


@pytest.mark.parametrize(("side", "fading"), [(8, 3.0), (40, 1.75), (100, 1.4)])
def test_plasma_fills_its_range_and_is_smoother_where_detail_fades(
    side: int, fading: float
) -> None:
    like = torch.zeros(4, 3, side, side)
    clouds = plasma(like, fading, torch.Generator().manual_seed(0))
    assert clouds.shape == (4, 1, side, side)
    assert clouds.min() >= 0
    assert clouds.max() <= 1
    smooth = plasma(like, 4 * fading, torch.Generator().manual_seed(0))
    rough = [c.diff(dim=3).abs().mean() / c.std() for c in (clouds, smooth)]
    assert rough[0] > rough[1]


@pytest.mark.parametrize("side", [16, 32, 128])
def test_ice_has_the_tones_of_the_photographs(side: int) -> None:
    frozen = ice(torch.zeros(32, 3, side, side), torch.Generator().manual_seed(0))
    tones, reliefs = frozen.mean((1, 2, 3)), frozen.std((1, 2, 3))
    assert 0.4 < tones.min() < tones.max() < 0.9
    assert 0.03 < reliefs.min() < reliefs.max() < 0.2


@pytest.mark.parametrize(
    ("side", "severity", "pixels"),
    [
        (32, 1, (0, 0, 32 * 0.08)),
        (32, 5, (32 * 0.1, 32 * 0.03, 32 * 0.03)),
        (224, 2, (244 * 2, 244 * 0.08, 244 * 0.2)),
        (224, 5, (244 * 0.12, 244 * 0.01, 244 * 0.02)),
    ],
)
def test_elastic_is_the_reference_codes(
    side: int, severity: int, pixels: tuple[float, float, float]
) -> None:
    strength, smoothness, jolt = pixels
    x = drawn(1, 1, side, side)
    result = elastic_transform(x, severity, torch.Generator().manual_seed(4))[0, 0].numpy()
    generator = torch.Generator().manual_seed(4)
    chance = uniform(x.new_empty((1, 3, 2)), generator)[0].numpy()
    noise = 2 * uniform(x.new_empty((1, 2, side, side)), generator)[0].numpy() - 1
    middle, reach = side // 2, side // 3
    corners = np.array([[reach, reach], [reach, -reach], [-reach, -reach]]) + middle
    moved = np.c_[corners + jolt * (2 * chance - 1), np.ones(3)]
    places = np.stack([*np.mgrid[:side, :side], np.ones((side, side))])
    source = np.tensordot(np.linalg.solve(moved, corners).T, places, 1)
    shifted = scipy.ndimage.map_coordinates(x[0, 0].numpy(), source, order=1, mode="mirror")
    bend = [
        strength * scipy.ndimage.gaussian_filter(n, smoothness, truncate=3, mode="reflect")
        for n in noise
    ]
    expected = scipy.ndimage.map_coordinates(
        shifted, [places[0] + bend[0], places[1] + bend[1]], order=1, mode="reflect"
    )
    np.testing.assert_allclose(result, expected, atol=1e-8)
