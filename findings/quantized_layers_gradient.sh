#!/usr/bin/env bash
# torch 2.13.0: a network with dynamically quantised layers has the gradient of its skip connections.
#
# Expected: quantised layers are for inference; to ask for the gradient at the images is an error, or
# gives the gradient of the network.
# Seen: a residual network whose blocks are quantised (the last layer is kept in float32, as is
# usual) gives the same scores to 4 % of their spread, in float16 and in qint8, and
# torch.autograd.grad returns a tensor without an error: exactly the gradient of the network with its
# blocks left out of the backward pass. Without skip connections there is an error.
# Consequence: FGSM and PGD run through, climb another function, and report a robust model.
# Exit code 0 while this holds or torch has no fbgemm here, 1 when it changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from torch import nn

if "fbgemm" not in torch.backends.quantized.supported_engines:
    print("not measured: this needs a build of torch with fbgemm")
    sys.exit(0)
torch.backends.quantized.engine = "fbgemm"


class Residual(nn.Module):
    def __init__(self, skips):
        super().__init__()
        self.skips = skips
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64)) for _ in range(4)
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images):
        x = images.flatten(1)
        for block in self.blocks:
            x = x + block(x) if self.skips else block(x)
        return self.head(x)


def gradient(model):
    scores = model(inputs)
    return torch.autograd.grad(nn.functional.cross_entropy(scores, labels), inputs)[0]


def quantised(model, dtype):
    return torch.ao.quantization.quantize_dynamic(model, {"blocks"}, dtype=dtype)


torch.manual_seed(0)
inputs = torch.rand(8, 1, 8, 8, requires_grad=True)
labels = torch.arange(8)
network = Residual(skips=True).eval()
with torch.no_grad():
    for weights in network.blocks.parameters():
        weights *= 1.5  # blocks that matter, as in a trained network
true = gradient(network)
holds = True
for dtype in (torch.float16, torch.qint8):
    copy = quantised(network, dtype)
    plain = network(inputs)
    apart = ((copy(inputs) - plain).abs().max() / plain.std()).item()
    scores = copy(inputs).detach().requires_grad_()
    nn.functional.cross_entropy(scores, labels).backward()
    skips_only = (scores.grad @ network.head.weight).view_as(inputs)
    given = gradient(copy)
    cosine = nn.functional.cosine_similarity(given.flatten(), true.flatten(), dim=0).item()
    exact = torch.allclose(given, skips_only, atol=1e-7)
    try:
        gradient(quantised(Residual(skips=False).eval(), dtype))
        refused = False
    except RuntimeError:
        refused = True
    print(f"{dtype}: scores differ by {apart:.4f} of their spread;")
    print(f"  cosine of its gradient and the true one {cosine:.3f};")
    print(f"  equal to the gradient without blocks: {exact}; error without skips: {refused}")
    holds &= apart < 0.1 and exact and refused and cosine < 0.9
sys.exit(not holds)
PYTHON
