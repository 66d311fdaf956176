import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.models.fakes import Refusal
from torch import Tensor, nn

from epsball.models import Pipeline, Preprocess
from epsball.types import ModelInfo


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def test_nothing_asked_changes_nothing() -> None:
    assert torch.equal(Preprocess()(noise(2, 3, 5, 5)), noise(2, 3, 5, 5))


def test_mean_and_std_are_applied_per_channel() -> None:
    inputs = noise(2, 3, 4, 4)
    outputs = Preprocess(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))(inputs)
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 0.125)]):
        assert torch.allclose(outputs[:, channel], (inputs[:, channel] - mean) / std)


def test_one_value_serves_all_channels() -> None:
    assert torch.allclose(Preprocess(std=(0.5,))(noise(1, 3, 2, 2)), 2 * noise(1, 3, 2, 2))


def test_bgr_turns_the_colours_round() -> None:
    inputs = noise(2, 3, 4, 4)
    assert torch.equal(Preprocess(channels="bgr")(inputs), inputs[:, [2, 1, 0]])


def test_mean_belongs_to_the_channels_of_the_model() -> None:
    # The first value is blue's where the model wants blue first.
    outputs = Preprocess(mean=(0.3, 0.0, 0.0), channels="bgr")(noise(1, 3, 2, 2))
    assert torch.allclose(outputs[:, 0], noise(1, 3, 2, 2)[:, 2] - 0.3)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_grey_images_get_three_equal_channels(channels: str) -> None:
    outputs = Preprocess(channels=channels)(noise(2, 1, 4, 4))
    assert torch.equal(outputs, noise(2, 1, 4, 4).repeat(1, 3, 1, 1))


def test_gray_is_the_luma_of_pillow() -> None:
    pixels = (noise(9, 9, 3) * 255).byte()
    expected = np.asarray(Image.fromarray(pixels.numpy()).convert("L"))
    outputs = Preprocess(channels="gray")(pixels.permute(2, 0, 1)[None] / 255)
    assert outputs.shape == (1, 1, 9, 9)
    assert np.abs(outputs[0, 0].numpy() * 255 - expected).max() < 1


@pytest.mark.parametrize("side", [7, 23])
def test_resize_is_the_antialiased_bilinear_of_pillow(side: int) -> None:
    array = noise(1, 1, 16, 12)
    image = Image.fromarray(array[0, 0].numpy(), mode="F")
    expected = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    outputs = Preprocess(resize=side)(array)
    assert np.allclose(outputs[0, 0].numpy(), expected, atol=1e-5)


@given(side=st.integers(1, 40), height=st.integers(1, 20), width=st.integers(1, 20))
def test_resized_images_stay_in_range(side: int, height: int, width: int) -> None:
    outputs = Preprocess(resize=side)(noise(1, 3, height, width))
    assert outputs.shape == (1, 3, side, side)
    assert outputs.min() >= -1e-6
    assert outputs.max() <= 1 + 1e-6


def test_gradient_passes_through_all_of_it() -> None:
    layer = Preprocess(mean=(0.5,), std=(0.1,), resize=6, channels="gray")
    point = noise(1, 3, 9, 9).requires_grad_()
    layer(point).sum().backward()
    assert point.grad is not None
    assert (point.grad != 0).all()


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"std": (0.0,)}, "std must be above 0, got 0"),
        ({"std": (0.5, -1.0, 0.5)}, "std must be above 0"),
        ({"std": (float("nan"),)}, "std must be above 0"),
        ({"mean": (123.7, 116.3, 103.5)}, "divide by 255"),
        ({"mean": (float("nan"),)}, "mean must lie in"),
        ({"mean": ()}, "mean holds 0 values"),
        ({"mean": (0.5, 0.5), "channels": "rgb"}, "mean holds 2 values, expected 1 or 3"),
        ({"std": (0.5,) * 3, "channels": "gray"}, "std holds 3 values, expected 1"),
        ({"mean": (0.5,) * 3, "std": (0.5,) * 2}, "mean has 3 values and std 2"),
        ({"resize": 0}, "resize must be at least 1"),
        ({"channels": "rbg"}, "channels must be one of rgb, bgr, gray, got 'rbg'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], rule: str, refusal: Refusal) -> None:
    assert rule in refusal(lambda: Preprocess(**settings))  # type: ignore[arg-type]  # on purpose


def test_mean_of_other_channels_is_refused_and_does_not_broadcast(refusal: Refusal) -> None:
    layer = Preprocess(mean=(0.5, 0.5, 0.5))
    assert "have 1 channels" in refusal(lambda: layer(noise(1, 1, 4, 4)))


def test_colours_of_many_channels_are_refused(refusal: Refusal) -> None:
    assert "1 or 3 channels, got 4" in refusal(
        lambda: Preprocess(channels="gray")(noise(1, 4, 2, 2))
    )


def test_settings_are_no_part_of_the_weights() -> None:
    assert not Preprocess(mean=(0.5,), std=(0.5,)).state_dict()


def test_pipeline_keeps_the_mode_of_the_model_and_of_its_parts() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Dropout()).train()
    model[2].eval()  # frozen by its owner
    pipeline = Pipeline(Preprocess(mean=(0.5,)), model)
    assert pipeline.training
    assert not model[2].training
    assert not any(m.training for m in Pipeline(Preprocess(), model.eval()).modules())


def test_pipeline_passes_on_what_is_known_of_the_model() -> None:
    model = nn.Flatten()
    assert not hasattr(Pipeline(Preprocess(), model), "info")
    model.info = info = ModelInfo(classes=3, rejects=True)  # type: ignore[assignment]  # as defences do
    assert Pipeline(Preprocess(), model).info == info


def test_pipeline_takes_a_plain_callable() -> None:
    pipeline = Pipeline(Preprocess(std=(0.5,)), lambda x: x.flatten(1))
    assert torch.allclose(pipeline(noise(2, 1, 2, 2)), 2 * noise(2, 1, 2, 2).flatten(1))
    assert not pipeline.training
