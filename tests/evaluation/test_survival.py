"""Images saved as images."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from epsball.evaluation.records.survival import to_8bit
from epsball.image_codec import as_pillow, through_jpeg, through_png


@given(seed=st.integers(0, 200), levels=st.integers(0, 40))
def test_rounding_keeps_the_ball(seed: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(0, 256, (3, 1, 4, 4), generator=generator).float() / 255
    eps = levels / 255
    moved = (clean + eps * (2 * torch.rand(clean.shape, generator=generator) - 1)).clamp(0, 1)
    saved = torch.from_numpy(to_8bit(moved, clean)).double() / 255
    assert ((saved - clean.double()).abs() <= eps + 1e-7).all()
    towards = (saved - clean.double()) * (moved.double() - clean.double())
    assert (towards >= -1e-7).all()  # never past the clean image
    assert ((saved - moved.double()).abs() < 1 / 255 + 1e-5).all()  # never a level off


@pytest.mark.parametrize("levels", [1, 2, 8, 76])
def test_whole_levels_survive_float_rounding(levels: int) -> None:
    clean = torch.arange(80, 120).float().view(1, 1, 5, 8) / 255
    for sign in (1, -1):
        moved = clean + sign * torch.tensor(levels / 255)
        expected = torch.arange(80, 120).view(1, 1, 5, 8) + sign * levels
        assert torch.equal(torch.from_numpy(to_8bit(moved, clean)).long(), expected)


def test_off_the_grid_a_small_move_does_not_jump_over_the_clean_pixel() -> None:
    clean = torch.tensor([[[[100.4 / 255, 100.6 / 255]]]])
    moved = torch.tensor([[[[100.7 / 255, 100.3 / 255]]]])
    assert to_8bit(moved, clean).flatten().tolist() == [100, 101]


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_lossless_and_jpeg_is_jpeg(channels: int) -> None:
    sample_images = np.random.default_rng(0).integers(0, 256, (4, channels, 9, 7), dtype=np.uint8)
    assert np.array_equal(through_png(sample_images), sample_images)
    saved = through_jpeg(sample_images, 75)
    assert saved.shape == sample_images.shape
    file = io.BytesIO()
    as_pillow(sample_images[2]).save(file, "JPEG", quality=75)
    theirs = np.asarray(Image.open(file))
    assert np.array_equal(
        saved[2] if channels == 3 else saved[2][0][..., None],
        theirs.transpose(2, 0, 1) if channels == 3 else theirs[..., None],
    )
    assert not np.array_equal(saved, sample_images)


def test_no_images_at_all() -> None:
    none = np.zeros((0, 3, 4, 4), dtype=np.uint8)
    assert through_png(none) is none
