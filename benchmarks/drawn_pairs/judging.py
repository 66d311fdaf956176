"""One audit, judged by scores and attacks in float64 that are computed here."""

import traceback
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from benchmarks.drawn_pairs.behaviours import GRADIENT
from benchmarks.drawn_pairs.building import Built
from scipy.stats import fisher_exact
from torch import Tensor, nn

from epsball import audit
from epsball.errors import EpsballError
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.records import shards

EPS, STEPS = 0.06, 5
SURPRISE = 1e-4  # p of a difference that so few images show to whoever tries some ten readings
_ABOVE = 0.1  # of the images: robust accuracy above that of an attack of the same steps
_GRADIENT = frozenset(
    {
        *GRADIENT,
        "not-converged",
        "more-steps-help",
        "noise-as-strong",
        "one-step-stronger",
        "unconstrained-failure",
        "gradient-noise",
        "silent-success",
        "loss-not-rising",
        "larger-eps-helps",
    }
)


@dataclass(frozen=True)
class Outcome:
    """What became of a pair.

    Args:
        verdict: "right", "refused", "finding", "no effect" (a mistake that so few images cannot
            show), "wrong", "changed" (the model was left as another one) or "traceback".
        detail: the message, or the numbers.
        printed: clean accuracy that was printed; None: none was.
        truth: clean accuracy in float64.
        robust: accuracy under pgd that was printed.
        robust_truth: accuracy of the same images in float64.
        independent: accuracy under an attack of this file, in float64.
        findings: codes.
        blocked: whether a rate was withheld.
    """

    verdict: str
    detail: str
    printed: float | None = None
    truth: float | None = None
    robust: float | None = None
    robust_truth: float | None = None
    independent: float | None = None
    findings: str = ""
    blocked: bool = False


class _Captured:
    """All attacked images of an audit: the run itself keeps ten for its report."""

    def __init__(self) -> None:
        self.shards: list[tuple[Any, Any]] = []

    def attack(self, engine: Any, setting: Any, examples: Any, *others: Any) -> Any:  # noqa: ANN401
        """Attack the images of one shard, and keep them."""
        attacked = attack_examples(engine, setting, examples, *others)
        if setting.attack == "pgd":
            self.shards.append((examples, attacked[0]))
        return attacked

    def attacked(self) -> tuple[Tensor, Tensor]:
        """Return clean and attacked images (n, c, h, w)."""
        clean = torch.cat([examples.images for examples, _ in self.shards])
        return clean, torch.cat([one.images for _, one in self.shards])


def judge(built: Built) -> Outcome:
    """Audit a pair and say what became of it."""
    before, captured = _state(built.held), _Captured()
    try:
        with patch.object(shards, "attack_examples", captured.attack):
            report = audit(
                built.model,
                built.data,
                attacks=["fgsm", f"pgd:steps={STEPS}"],
                eps=[EPS],
                precision="float32",
                micro_batch=64,
                **built.options,
            )
    except EpsballError as error:
        return Outcome("refused", str(error))
    except Exception as error:  # what a user would see as a traceback
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
        return Outcome("traceback", f"{type(error).__name__}: {error} ({where})")
    codes = [one.code for one in report.findings]
    if _state(built.held) != before:
        return Outcome("changed", "the model's state moved", findings=" ".join(codes))
    if report.blocked:
        shown = [one.code for one in report.findings if one.severity == "blocking"]
        return Outcome("finding", " ".join(shown), findings=" ".join(codes), blocked=True)
    return _compared(built, report, captured, codes)


def _compared(built: Built, report: Any, captured: _Captured, codes: list[str]) -> Outcome:  # noqa: ANN401
    """Compare what was printed with the truth: clean images first, then attacked ones."""
    truth, near = _right(built, built.images, built.labels)
    records = report.records.filter(report.records["attack"] == "pgd")
    count = len(truth)
    numbers: dict[str, Any] = {
        "printed": int((records["clean_prediction"] == records["label"]).sum()) / count,
        "truth": int(truth.sum()) / count,
        "robust": int((records["prediction"] == records["label"]).sum()) / count,
        "findings": " ".join(codes),
    }
    result = sorted(built.codes & set(codes))
    allowed = min(int(near.sum()), 1) if built.mistaken else int(near.sum())
    if abs(numbers["printed"] - numbers["truth"]) * count > allowed + 1e-6:
        surprise = _surprise(numbers["printed"], numbers["truth"], count)
        unseen = built.mistaken and surprise >= SURPRISE
        verdict = "finding" if result else "no effect" if unseen else "wrong"
        return Outcome(verdict, f"clean, p = {surprise:.2g}; {' '.join(result)}", **numbers)
    return _compared_attacked(built, captured, numbers, result, codes)


def _compared_attacked(
    built: Built,
    captured: _Captured,
    numbers: dict[str, Any],
    told: list[str],
    codes: list[str],
) -> Outcome:
    count, pgd = len(built.labels), numbers["robust"]
    clean, attacked = captured.attacked()
    again, loose = _of_attacked(built, clean, attacked)
    numbers |= {"robust_truth": again}
    if again is None:
        verdict = "finding" if told else "wrong"
        return Outcome(verdict, "attacked images are of none that was given", **numbers)
    if abs(again - pgd) * count > loose + 1e-6:
        unseen = built.mistaken and _surprise(again, pgd, count) >= SURPRISE
        verdict = "finding" if told else "no effect" if unseen else "wrong"
        return Outcome(verdict, f"attacked, {loose} images at the border", **numbers)
    excess = float((attacked - clean).abs().max()) - EPS
    if excess > 1e-6 or float(attacked.min()) < 0 or float(attacked.max()) > 1:
        return Outcome("wrong", f"outside the ball or the box by {excess:.2g}", **numbers)
    numbers |= {"independent": _attacked_here(built)}
    if pgd > numbers["independent"] + max(_ABOVE, 3 / count):
        doubts = " ".join(sorted((built.codes | _GRADIENT) & set(codes)))
        return Outcome("finding" if doubts else "wrong", f"weak attack; {doubts}", **numbers)
    return Outcome("right", "", **numbers)


def _right(built: Built, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return which images are right in float64, and which are too near the border to tell."""
    with torch.no_grad():
        logits = built.truth(images)
    top = logits.topk(2, dim=1).values
    scale = logits.abs().amax().clamp_min(1e-12)
    near = (top[:, 0] - top[:, 1]) < built.coarse * scale + built.rounding
    return logits.argmax(1) == labels, near


def _of_attacked(built: Built, clean: Tensor, attacked: Tensor) -> tuple[float | None, int]:
    """Return the accuracy of attacked images in float64; each belongs to the nearest image."""
    apart = torch.cdist(clean.double().flatten(1), built.images.flatten(1))
    least, rows = apart.min(1)
    if float(least.max()) > 0.05 or len(rows) != len(built.labels):
        return None, 0
    right, near = _right(built, attacked.double(), built.labels[rows])
    return int(right.sum()) / len(right), int(near.sum())


def _attacked_here(built: Built) -> float:
    """Return the accuracy that projected gradient descent on the margin leaves, in float64."""
    images, labels = built.images, built.labels
    still = torch.ones(len(labels), dtype=torch.bool)
    step, point = 2.5 * EPS / STEPS, images
    for _ in range(STEPS + 1):
        point = point.detach().requires_grad_()
        logits = built.truth(point)
        still &= logits.argmax(1) == labels
        others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        loss = (others - logits.gather(1, labels[:, None])[:, 0]).sum()
        (slope,) = torch.autograd.grad(loss, point)
        moved = point.detach() + step * slope.sign()
        point = torch.minimum(torch.maximum(moved, images - EPS), images + EPS).clamp(0, 1)
    return int(still.sum()) / len(still)


def _surprise(one: float, other: float, count: int) -> float:
    table = [[round(p * count), count - round(p * count)] for p in (one, other)]
    return float(fisher_exact(table).pvalue)


def _state(module: nn.Module | None) -> Any:  # noqa: ANN401
    """Return what identifies a module's state: its tensors and its mode."""
    if module is None:
        return None
    tensors = [*module.named_parameters(), *module.named_buffers()]
    stored = tuple(
        (
            k,
            None
            if v.is_meta
            else v.detach().clone().numpy().tobytes()
            if v.dtype != torch.bfloat16
            else v.detach().float().numpy().tobytes(),
        )
        for k, v in tensors
    )
    return stored, tuple(part.training for part in module.modules())
