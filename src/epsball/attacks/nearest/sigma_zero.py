"""sigma-zero: few entries, by a smooth count of them and a threshold that adapts."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from epsball.attacks.core.checks import check_call, takes_no_eps
from epsball.attacks.core.validated import validated
from epsball.attacks.nearest.sparse import NearestSearch, prune, require, where_needed
from epsball.attacks.spec import AttackSpec
from epsball.geometry import per_row
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("l0",)
_DECAY, _DECAY_SQUARES, _TINY = 0.9, 0.999, 1e-8  # Adam's own constants
_LEAST = 0.1  # of the step size is left at the end


@validated
@takes_no_eps
def sigma_zero(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    norm: Norm = "l0",
    steps: int = 300,
    step_size: float = 1.0,
    sigma: float = 1e-3,
    threshold: float = 0.3,
    adapt: float = 0.01,
    pruned: bool = True,
    targets: Labels | None = None,
    generator: Randomness = None,  # noqa: ARG001 - of the house signature; nothing here is random
) -> Images:
    """Find for each image an adversarial one that differs in as few entries as possible.

    Descends, with Adam, what the classifier still leads by plus a smooth count of changed entries;
    after every step changes below a threshold are undone. Each image has its own threshold: it
    rises while the image is fooled and falls while it is not.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        norm: "l0"; entries are counted, c * h * w of them, not pixels.
        steps: gradient evaluations an image; one more forward pass scores the last point.
        step_size: input units of the first step, above 0; falls to a tenth along a cosine.
        sigma: above 0; how smooth the count is: an entry changed by sqrt(sigma) counts one half.
        threshold: input units; changes below it are undone at first.
        adapt: how far the threshold moves after a step, as a share of the step size.
        pruned: whether changes that are not needed are looked for at the end, which costs about
            log2(changes) forward passes.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: not used.

    Returns:
        (n, c, h, w) in [0, 1]; of all points seen the one with the fewest changed entries that is
        adversarial, all other entries exactly as they were; the clean image where it is
        adversarial already, or where none was found.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is not l0.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.tensor([0.75, 0.5, 0.25]).view(1, 1, 1, 3), torch.tensor([0])
        >>> int((sigma_zero(flat, x, y) != x).sum())
        1

    Source: Cina et al. 2024, arXiv:2402.01879, algorithm 1. Departures: targets are
    possible; 300 steps instead of 1,000; the last point is scored as well; needless changes are
    pruned.
    """
    check_call(
        "sigma_zero",
        inputs,
        labels,
        targets,
        eps=None,
        norm=norm,
        norms=NORMS,
        steps=steps,
        step_size=step_size,
    )
    require("sigma_zero", "sigma", "> 0", sigma, holds=sigma > 0)
    for name, value in (("threshold", threshold), ("adapt", adapt)):
        require("sigma_zero", name, ">= 0", value, holds=value >= 0)

    def seek(nearest: NearestSearch, _: Tensor) -> None:
        _descend(nearest, _Rule(steps, step_size, sigma, threshold, adapt))
        if pruned:
            prune(nearest, saturate=True)

    return where_needed(model, inputs, labels, targets, norm=norm, seek=seek)


@dataclass(frozen=True)
class _Rule:
    steps: int
    step_size: float
    sigma: float
    threshold: float
    adapt: float

    def length(self, number: int) -> float:
        """Return the step size after that many steps."""
        cosine = (1 + math.cos(math.pi * number / self.steps)) / 2
        return self.step_size * (_LEAST + (1 - _LEAST) * cosine)


def _descend(nearest: NearestSearch, rule: _Rule) -> None:
    point = clean = nearest.clean
    mean, squares = torch.zeros_like(clean), torch.zeros_like(clean)
    threshold = torch.full_like(nearest.distance, rule.threshold)
    for i in range(rule.steps):
        success, lead, slope = nearest.evaluate(point)
        needed = per_row(lead < 0, slope)
        downhill = _count_slope(point - clean, rule.sigma) - torch.where(needed, slope, 0)
        downhill = downhill / per_row(_largest(downhill), downhill)
        mean = mean.lerp(downhill, 1 - _DECAY)
        squares = squares.lerp(downhill**2, 1 - _DECAY_SQUARES)
        root = (squares / (1 - _DECAY_SQUARES ** (i + 1))).sqrt() + _TINY
        length = rule.length(i)
        point = (point - length / (1 - _DECAY ** (i + 1)) * mean / root).clamp(0, 1)
        threshold = (threshold + torch.where(success, 1, -1) * rule.adapt * length).clamp(0, 1)
        small = (point - clean).abs() < per_row(threshold, point)
        point = torch.where(small, clean, point)
    nearest.read(point)


def _count_slope(delta: Tensor, sigma: float) -> Tensor:
    """Return the gradient of the mean over entries of delta^2 / (delta^2 + sigma)."""
    return 2 * sigma * delta / (delta**2 + sigma) ** 2 / delta[0].numel()


def _largest(gradient: Tensor) -> Tensor:
    return gradient.flatten(1).abs().amax(1).clamp_min(1e-12)


SPEC = AttackSpec(
    sigma_zero,
    kind="minimal",
    norms=("l0",),
    source="Cina et al. 2024, arXiv:2402.01879",
)
