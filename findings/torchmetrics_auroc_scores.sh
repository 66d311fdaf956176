#!/usr/bin/env bash
# torchmetrics 1.9.0: BinaryAUROC is 0.5 for scores that separate two groups perfectly.
#
# Expected: AUROC depends on the order of the scores only. A detector that gives 20 to 30 to clean
# images and 31 to 40 to adversarial ones has 1.0, and it does not matter in which batches the
# scores arrive.
# Seen: 0.5. A batch that has a value outside [0, 1] is passed through a sigmoid in float32, which is
# exactly 1 from about 17 on: all scores become equal. A batch that happens to lie inside [0, 1] is
# left as it is: the same 100 scores from 0 to 2 have 1.0 in one call, and 0.82 in batches of ten.
# Consequence: a detector that scores by distance, energy or logit is reported as useless, or the
# better the larger the batches are.
# Exit code 0 while this holds, 1 when it changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from torchmetrics.classification import BinaryAUROC


def auroc(scores, labels, batch):
    metric = BinaryAUROC()
    for part, truth in zip(scores.split(batch), labels.split(batch), strict=True):
        metric.update(part, truth)
    return float(metric.compute())


labels = torch.cat([torch.zeros(50), torch.ones(50)]).int()
far = torch.cat([torch.linspace(20, 30, 50), torch.linspace(31, 40, 50)])
near = torch.linspace(0, 2, 100)
seen = [
    auroc(far, labels, 100),
    auroc(far / 40, labels, 100),
    auroc(near, labels, 100),
    auroc(near, labels, 10),
]
print(f"scores from 20 to 40: {seen[0]:.4f}; the same divided by 40: {seen[1]:.4f}")
print(f"scores from 0 to 2: {seen[2]:.4f} in one batch, {seen[3]:.4f} in batches of ten")
sys.exit(not (seen[:3] == [0.5, 1.0, 1.0] and seen[3] < 0.9))
PYTHON
