"""Fooling images by gradient ascent, plain or regularised."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from epsball.errors import InvalidInput
from epsball.fooling.result import Advance, Fooling, target_confidence, to_levels
from epsball.randomness import Randomness, normal, random_below
from epsball.tensors import Classifier, Images, Labels

_JITTER = 16  # the image is shifted by up to its side divided by this
_BLUR_EVERY = 4  # steps


def ascend_class(
    model: Classifier,
    start: Images,
    targets: Labels,
    *,
    confidence: float = 0.99,
    steps: int = 200,
    step_size: float = 0.02,
    regularised: bool = False,
    generator: Randomness = None,
    advance: Advance = lambda _: None,
) -> Fooling:
    """Change images until the model names the target classes with confidence.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k).
        start: (n, c, h, w), in [0, 1]: black, noise or real images.
        targets: (n,), int64; the class that each image is to get.
        confidence: an image is done with at this probability of its target, in (0, 1).
        steps: the most gradients an image gets.
        step_size: learning rate of Adam, in input units.
        regularised: smooth the image every fourth step and shift it at random before each, so that
            it shows what the model takes the class for; the logit is climbed, and all steps are
            taken. Plain ascent climbs the log-softmax and stops at the confidence.
        generator: of the shifts, and of the direction where there is no gradient.
        advance: told one for every step.

    Returns:
        The images, rounded to 8 bits, and the confidence of the rounded images.

    Raises:
        InvalidInput: an argument breaks its rule.

    Example:
        >>> flat = torch.nn.Flatten()
        >>> model = lambda images: 40 * flat(images)
        >>> result = ascend_class(model, torch.zeros(1, 1, 1, 2), torch.tensor([1]))
        >>> bool(result.confidence[0] >= 0.99)
        True

    Source: Simonyan et al. 2014, arXiv:1312.6034; Nguyen et al. 2015, arXiv:1412.1897, section 3;
        shifts and smoothing: Mordvintsev et al. 2015 (jitter), Yosinski et al. 2015,
        arXiv:1506.06579 (blur). Departures: Adam takes the steps; pixels stay in [0, 1] and are
        rounded to 8 bits before every forward pass, so that the confidence is that of the file.
    """
    _check(confidence, steps, step_size)
    point = start.detach().clone().float()
    adam = torch.optim.Adam([point], lr=step_size)
    best, confidence_now = to_levels(point), torch.zeros(len(point), dtype=torch.float64)
    queries = torch.zeros(len(point), dtype=torch.int64)
    going = torch.arange(len(point), device=point.device)
    for step in range(steps):
        shift = _shift(point, generator) if regularised else (0, 0)
        slope, shown, now = _climb(model, point[going], targets[going], shift, regularised)
        if not regularised:
            _keep(best, confidence_now, going, shown, now)
        queries[going.cpu()] += 2
        advance(1)
        if not regularised and bool((confidence_now >= confidence).all()):
            return Fooling(best.cpu(), targets.cpu(), confidence_now, queries)
        still = (slope == 0).flatten(1).all(1)
        slope[still] = normal(slope[still], generator)  # no direction: any
        point.grad = torch.zeros_like(point)
        point.grad[going] = -slope
        adam.step()
        point.clamp_(0, 1)
        if regularised and step % _BLUR_EVERY == 0:
            point.copy_(_smoothed(point))
        if not regularised:  # an image that is done with is not looked at again
            going = (confidence_now < confidence).nonzero()[:, 0].to(point.device)
    shown = to_levels(point[going])
    _keep(best, confidence_now, going, shown, target_confidence(model, shown, targets[going]))
    queries[going.cpu()] += 1
    return Fooling(best.cpu(), targets.cpu(), confidence_now, queries)


def _climb(
    model: Classifier,
    point: Tensor,
    targets: Tensor,
    shift: tuple[int, int],
    regularised: bool,  # noqa: FBT001 - passed on
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradient of what is climbed, the rounded images and their confidence."""
    with torch.enable_grad():
        leaf = point.detach().requires_grad_()
        shown = to_levels(leaf)
        logits = model(shown.roll(shift, dims=(2, 3)))
        own = logits.gather(1, targets[:, None])[:, 0]
        log_confidence = own - logits.logsumexp(1)
        (slope,) = torch.autograd.grad((own if regularised else log_confidence).sum(), leaf)
    return slope, shown.detach(), log_confidence.detach().double().exp()


def _keep(best: Tensor, sure: Tensor, rows: Tensor, shown: Tensor, now: Tensor) -> None:
    """Keep the images of some rows that have a higher confidence than before."""
    better = now.cpu() >= sure[rows.cpu()]
    best[rows[better.to(rows.device)]] = shown[better.to(shown.device)]
    sure[rows.cpu()[better]] = now.cpu()[better]


def _smoothed(images: Tensor) -> Tensor:
    """Blur by a quarter of a 3x3 mean, borders repeated."""
    mean = avg_pool2d(pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return 0.75 * images + 0.25 * mean


def _shift(images: Tensor, generator: Randomness) -> tuple[int, int]:
    most = max(1, min(images.shape[-2:]) // _JITTER)
    limits = torch.full((len(images),), 2 * most + 1, device=images.device)
    offsets = [int(random_below(limits, generator)[0]) - most for _ in range(2)]
    return offsets[0], offsets[1]


def _check(confidence: float, steps: int, step_size: float) -> None:
    if not 0 < confidence < 1:
        raise InvalidInput(f"fool: confidence must lie between 0 and 1, got {confidence}")
    if steps < 1:
        raise InvalidInput(f"fool: steps must be at least 1, got {steps}")
    if not step_size > 0:
        raise InvalidInput(f"fool: step_size must be above 0, got {step_size}")
