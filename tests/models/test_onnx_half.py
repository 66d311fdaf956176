"""A transformer in float16: a fusion of onnxruntime would end the process."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from epsball.models import load_model

pytest.importorskip("onnx2fx")
pytest.importorskip("onnxruntime")


class Transformer(nn.Module):
    """Four patches of an image as tokens, and a block of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 4, 4)
        self.block = nn.TransformerEncoderLayer(
            32, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.head = nn.Linear(32, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.patches(inputs).flatten(2).transpose(1, 2)
        scores: Tensor = self.head(self.block(tokens)[:, 0])
        return scores


def test_a_transformer_in_float16_is_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Transformer().half().eval()
    images = torch.rand(3, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (images.half(),),
            tmp_path / "net.onnx",
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )
    with torch.no_grad():
        expected, scores = net(images.half()), load_model(f"onnx:{tmp_path}/net.onnx").model(images)
    assert torch.allclose(scores.float(), expected.float(), atol=0.02)
