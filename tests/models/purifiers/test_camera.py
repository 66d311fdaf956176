import pytest
import torch

from epsball.errors import InvalidInput
from epsball.models.purifiers.camera import SEVERITIES, Camera, photograph
from epsball.models.purifiers.table import defence_named
from epsball.randomness import ImageStreams

IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SMOOTH = torch.nn.functional.interpolate(IMAGES[:, :, :4, :4], size=32, mode="bilinear")


def shot(severity: int, rows: list[int]) -> torch.Tensor:
    streams = ImageStreams.of(rows, seed=0, purpose="camera")
    return photograph(SMOOTH[rows], severity=severity, generator=streams)


def test_photographs_are_images_of_8_bits() -> None:
    result = shot(5, [0, 1, 2, 3])
    assert result.shape == SMOOTH.shape
    assert torch.equal((result * 255).round() / 255, result)


def test_an_image_is_photographed_alike_in_any_batch() -> None:
    assert torch.equal(shot(3, [0, 1, 2, 3])[2:], shot(3, [2, 3]))


def test_no_two_photographs_are_alike() -> None:
    torch.manual_seed(0)
    result = Camera()(SMOOTH[:1].repeat(2, 1, 1, 1))
    assert not torch.equal(result[0], result[1])


def test_each_severity_changes_more() -> None:
    change = [float((shot(s, [0, 1, 2, 3]) - SMOOTH).square().mean()) for s in range(1, 6)]
    assert change == sorted(change)
    assert change[4] > 5 * change[0]


def test_the_mildest_photograph_is_nearly_the_image() -> None:
    assert float((shot(1, [0, 1, 2, 3]) - SMOOTH).abs().mean()) < 0.02


def test_the_gradient_goes_through() -> None:
    inputs = SMOOTH[:1].clone().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    result = photograph(inputs, severity=1, generator=generator)
    (slope,) = torch.autograd.grad(result.sum(), inputs)
    inner = slope[:, :, 4:-4, 4:-4]
    assert 0.8 < float(inner.mean()) < 1.1  # what enters leaves: blur and warp keep sums


def test_grey_images_stay_grey() -> None:
    assert photograph(SMOOTH[:, :1], severity=4).shape == (4, 1, 32, 32)


@pytest.mark.parametrize("severity", [0, len(SEVERITIES) + 1])
def test_other_severities_are_refused(severity: int) -> None:
    with pytest.raises(InvalidInput, match="severity must be 1 to 5"):
        Camera(severity)


def test_other_channels_are_refused() -> None:
    with pytest.raises(InvalidInput, match="1 or 3 channels, got 2"):
        photograph(SMOOTH[:, :2])


def test_the_camera_is_asked_for_by_name() -> None:
    assert repr(defence_named("camera:severity=2")) == "Camera(severity=2)"
