import pytest
import torch
from torch import nn

from epsball.errors import InvalidInput
from epsball.saliency.units import Channels, rising_units, unit_images


def net() -> nn.Sequential:
    """The first channel answers to bright images, the second to dark ones."""
    layer = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1).expand(2, 1, 3, 3))
    return nn.Sequential(layer, nn.Flatten())


def test_each_channel_gets_the_image_that_drives_it() -> None:
    bright, dark = unit_images(net(), "0", [0, 1], (1, 12, 12))
    assert float(bright.mean()) > 0.95
    assert float(dark.mean()) < 0.05


def test_the_model_keeps_no_hook() -> None:
    module = net()
    Channels(module, "0")(torch.zeros(1, 1, 8, 8))
    assert not module[0]._forward_hooks


def test_unknown_layers_and_channels_are_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown layer '5'"):
        Channels(net(), "5")
    with pytest.raises(InvalidInput, match="has channels 0 to 1, got 2"):
        unit_images(net(), "0", [2], (1, 8, 8))


def test_the_channel_that_an_attack_raises_comes_first() -> None:
    clean, brighter = torch.full((2, 1, 8, 8), 0.2), torch.full((2, 1, 8, 8), 0.7)
    rise = rising_units(net(), "0", clean, brighter, count=5)
    assert rise.channels == [0, 1]  # the layer has no more
    assert rise.clean[0] == pytest.approx(-rise.clean[1])
    assert rise.attacked[0] == pytest.approx(3.5 * rise.clean[0])
    # 0.2 times the mean number of pixels that a 3 x 3 window holds: ((6 * 3 + 2 * 2) / 8)^2
    assert rise.clean[0] == pytest.approx(0.2 * 2.75**2)
