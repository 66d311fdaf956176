#!/usr/bin/env bash
# torchattacks 3.5.1: CW fools no image any more once a constant is subtracted from all scores.
#
# Expected: the loss of Carlini and Wagner is the margin between the label's score and the best other
# one, so that a constant added to all scores of an image changes nothing.
# Seen: with scores around 0, 36 of 50 images are fooled; with 100 subtracted, none, and the returned
# images are the clean ones. Log-probabilities (log_softmax of the same scores) give none either. The two
# scores are taken as the maximum of a row in which the other entries are multiplied by 0; where all
# scores are negative that maximum is 0 for both, and the loss has no gradient.
# Consequence: a network that ends in log_softmax, trained with NLLLoss, looks perfectly robust.
# Exit code 0 while this holds, 1 when it changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm==4.70.1
"$folder/venv/bin/python" -m pip install --quiet --no-deps torchattacks==3.5.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from torch import nn
from torchattacks import CW

torch.manual_seed(0)
network = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))
images = torch.rand(50, 1, 8, 8)
labels = network(images).argmax(1)


class Shifted(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images) - 100


models = {
    "scores": network,
    "scores - 100": Shifted(),
    "log_softmax of the scores": nn.Sequential(network, nn.LogSoftmax(1)),
}
fooled = {}
for name, model in models.items():
    adversarial = CW(model.eval(), c=100, steps=50, lr=0.1)(images, labels)
    fooled[name] = int((network(adversarial).argmax(1) != labels).sum())
    farthest = (adversarial - images).abs().max()
    print(f"{name}: {fooled[name]} of 50 fooled, largest change of a pixel {farthest:.3f}")
plain, shifted, normalised = fooled.values()
sys.exit(not (plain > 25 and shifted == normalised == 0))
PYTHON
