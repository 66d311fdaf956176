"""Both sides of the comparison: an audit with its belief, and AutoAttack's reference code."""

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from benchmarks.peers.counting import Counting
from torch import Tensor, nn

import epsball

_BATCH = 100
_DLR = 3  # classes: AutoAttack's own code stops there
Row = dict[str, Any]


def ours(model: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Row:
    """Audit with `strongest`, its control included, and count the passes of each image."""
    with tempfile.TemporaryDirectory() as folder:
        report = epsball.audit(
            model,
            (images, labels),
            attacks="strongest",
            eps=eps,
            device="cpu",
            micro_batch=_BATCH,
            out=Path(folder) / "run",
        )
    summary, count = report.summary, len(images)
    phases: Mapping[str, Mapping[str, float]] = summary["phases"]
    spent = [phases[name] for name in ("attacks", "belief")]
    forwards, backwards = (sum(one[kind] for one in spent) for kind in ("forwards", "backwards"))
    return {
        "robust": summary["worst_case"][-1]["robust_accuracy"],
        "forwards": forwards / count,
        "backwards": backwards / count,
        "belief": cost(phases["belief"]["forwards"], phases["belief"]["backwards"]) / count,
        "checks": cost(phases["checks"]["forwards"], phases["checks"]["backwards"]) / count,
        "findings": sorted({one.code for one in report.findings}),
        "headline": report.headline,
    }


def reference(model: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Row:
    """Run AutoAttack's standard composition, and count the passes of each image.

    Three classes are too few for its targeted APGD, which is left out there.
    """
    counting = Counting(model).eval()
    version: Row = {"version": "standard"}
    if (classes := model(images[:1]).shape[1]) <= _DLR:  # its targeted loss needs one more
        version = {"version": "custom", "attacks_to_run": ["apgd-ce", "fab-t", "square"]}
    adversary = importlib.import_module("autoattack").AutoAttack(
        counting, norm="Linf", eps=eps, seed=0, verbose=False, device="cpu", **version
    )
    adversary.fab.n_target_classes = min(adversary.fab.n_target_classes, classes - 1)
    attacked = adversary.run_standard_evaluation(images, labels, bs=_BATCH)
    tally, count = counting.tally, len(images)
    with torch.no_grad():
        right = (model(images).argmax(1) == labels) & (model(attacked).argmax(1) == labels)
    return {
        "robust": float(right.float().mean()),
        "forwards": tally.forwards / count,
        "backwards": tally.backwards / count,
    }


def cost(forwards: float, backwards: float) -> float:
    """Return the cost in forward passes: a backward one counts twice."""
    return forwards + 2 * backwards
