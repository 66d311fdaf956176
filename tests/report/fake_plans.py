"""The fake runs: digits that look like MNIST, and a thousand classes in colour."""

from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from tests.report.fake_run import Floats, Plan

VILLAIN = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
BLOCKING = {
    "code": "reported-differs",
    "severity": "blocking",
    "message": "the accuracy that the model reported is not the one recomputed from its records",
    "evidence": {"reported": 0.91, "recomputed": 0.13},
    "remedy": "run the audit again with --device cpu; if it stays, the model is not a function",
}
NOTES = (
    {
        "code": "weak-ascent",
        "severity": "warning",
        "message": f"the loss does not rise along fgsm for 12 % of the images <b>{VILLAIN}</b>",
        "evidence": {"share": 0.12, "attack": "fgsm"},
        "remedy": "add --attack pgd --restarts 5, or an attack that asks for scores only",
    },
    {
        "code": "noise-harmless",
        "severity": "info",
        "message": "noise of the same size fools almost nothing: the model fails by direction",
        "evidence": {},
        "remedy": "",
    },
)


def digits_plan(*, model: str = "base-cnn", n: int = 400, **changes: Any) -> Plan:
    """scikit-learn's digits at 28x28, against nearest templates."""
    digits = load_digits()
    images = np.stack([_resized(image) for image in digits.images])[:, None]
    labels = digits.target.astype(np.int64)
    templates = np.stack([images[n:][labels[n:] == label].mean(0) for label in range(10)])
    names = (*"0123456", VILLAIN, "8", "9")
    plan = Plan(model, "digits", images[:n], labels[:n], templates, names, findings=NOTES)
    return replace(plan, **changes)


def thousand_plan() -> Plan:
    """A thousand coloured gradients of 64x64 with grain, one image a class."""
    rng = np.random.default_rng(5)
    coarse = rng.random((1000, 3, 4, 4)).astype(np.float32)
    templates = np.stack([np.stack([_resized(c * 16, 64) for c in image]) for image in coarse])
    labels = np.tile(np.arange(80), 2)
    grain = rng.normal(0, 0.25, (160, 3, 64, 64)).astype(np.float32)
    images = np.clip(0.35 * templates[labels] + 0.33 + grain, 0, 1).astype(np.float32)
    birds, kinds = (
        ("cock", "hen", "ostrich", "brambling", "goldfinch"),
        ("Gallus", "Struthio", "Junco"),
    )
    names = [f"{birds[i % 5]} of sort {i}, {kinds[i % 3]} rarus communis" for i in range(1000)]
    names[34] = names[77] = "crane"
    return Plan(
        "squeezenet",
        "imagenet-sample",
        images,
        labels,
        templates,
        tuple(names),
        variants=("fgsm", "pgd:objective=margin,restarts=5"),
        eps=(1 / 255, 4 / 255, 16 / 255),
    )


def _resized(image: Floats, side: int = 28) -> Floats:
    bytes_ = Image.fromarray((image * 255 / 16).astype(np.uint8))
    return np.asarray(bytes_.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
