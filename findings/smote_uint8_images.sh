#!/usr/bin/env bash
# imbalanced-learn 0.14.2: SMOTE on uint8 images returns noise where it should return mixtures.
#
# Expected: a synthetic image lies between two images of its class, pixel by pixel. Images in uint8
# and the same images in float64 give the same mixtures, but for rounding to a whole number.
# Seen: the samples have the right shape, type and labels; one pixel in five is off by more than one
# level, by as much as 254. The difference of the two neighbours is taken in uint8, where 10 - 20
# is 246, and a share of that is added. There is no error and no warning.
# Consequence: a network is trained on speckled images of exactly the rare classes, and its accuracy
# on these classes is attributed to SMOTE.
# Exit code 0 while this holds, 1 when it changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet imbalanced-learn==0.14.2 scikit-learn==1.9.1 \
  numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from imblearn.over_sampling import SMOTE
from sklearn.datasets import load_digits

images, labels = load_digits(return_X_y=True)
images = (images * 15).astype(np.uint8)  # sixteen levels of grey become 0 to 240
chosen = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:20]])
images, labels = images[chosen], labels[chosen]


def mixtures(dtype):
    sampled, _ = SMOTE(random_state=0).fit_resample(images.astype(dtype), labels)
    return sampled[len(images) :].astype(np.float64)


right, wrong = mixtures(np.float64), mixtures(np.uint8)
apart = np.abs(right - wrong)
share = (apart > 1).mean()
ones = images[labels == 1]
outside = ((wrong < ones.min(0)) | (wrong > ones.max(0))).mean()
print(f"{len(wrong)} synthetic images; pixels more than one level apart: {share:.3f}")
print(f"largest difference: {apart.max():.0f} levels")
print(f"pixels outside the range of all images of the class: {outside:.3f}")
sys.exit(not (share > 0.1 and apart.max() > 128 and outside > 0.01))
PYTHON
