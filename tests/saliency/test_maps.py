"""On models whose attributions are known in closed form."""

import pytest
import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.saliency.maps import feature_maps, saliency_maps

IMAGES = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1])
WEIGHTS = torch.zeros(2, 16)
WEIGHTS[0, 5] = 2.0
WEIGHTS[1, 10] = -1.0


def linear(images: Tensor) -> Tensor:
    return images.flatten(1) @ WEIGHTS.T


class Convolving(nn.Module):
    """The first channel of the convolution passes the image, the second nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.weight[0, 0, 1, 1] = 1.0

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layer(images)
        return maps.mean((2, 3))


@pytest.mark.parametrize("method", ["gradient", "integrated"])
def test_a_linear_model_depends_on_the_pixels_with_a_weight(method: str) -> None:
    maps = saliency_maps(linear, IMAGES, CLASSES, (method,))[method]
    assert maps.shape == (2, 4, 4)
    assert maps[0].flatten().argmax() == 5
    assert maps[1].flatten().argmax() == 10
    assert int((maps > 0).sum()) == 2


def test_a_model_without_convolutions_has_no_grad_cam() -> None:
    assert set(saliency_maps(linear, IMAGES, CLASSES)) == {"gradient", "integrated"}
    with pytest.raises(InvalidInput, match="grad-cam needs a model with a convolution"):
        saliency_maps(linear, IMAGES, CLASSES, ("grad-cam",))


def test_grad_cam_shows_where_the_channel_of_the_class_is_active() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 2:4, 4:6] = 1.0
    maps = saliency_maps(Convolving(), image, torch.tensor([0]), ("grad-cam",))["grad-cam"]
    assert float(maps[0, 2, 4]) == 1.0
    assert float(maps[0, 7, 0]) == 0.0


def test_feature_maps_are_those_of_the_first_convolution() -> None:
    layer, channels, maps = feature_maps(Convolving(), IMAGES, count=1)
    assert (layer, channels) == ("layer", [0])
    assert torch.allclose(maps[0, 0], IMAGES[0, 0] / IMAGES[0].max())
    with pytest.raises(InvalidInput, match="this one has none"):
        feature_maps(nn.Flatten(), IMAGES)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown saliency 'gradcam': did you mean 'grad-cam'"):
        saliency_maps(linear, IMAGES, CLASSES, ("gradcam",))


def test_neither_model_nor_images_are_changed() -> None:
    model, inputs = Convolving(), IMAGES.clone()
    saliency_maps(model, inputs, CLASSES)
    assert not inputs.requires_grad
    assert model.layer.weight.grad is None
    assert not model.layer._forward_hooks
