"""Whether the model is right far more often with one of the usual scalings of its images."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from epsball.errors import EpsballError
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.checks.usual_scalings import COLOUR, GREY, NONE, TURNED, Change, Scaling
from epsball.evaluation.metrics.statistics import mcnemar
from epsball.models import Preprocess
from epsball.types import Finding, Severity

_SURPRISE = 1e-3  # p below which another scaling is no chance, shared by all that are tried
_LEAST_GAIN = 0.1  # of the images looked at
_GOOD = 0.9  # a model that is right so often needs no other scaling
_FACTOR = 2  # times as many right: the number is another model's
# changes are tried on a few images, the best of them on more, and the best of those on all
_SCREENS = ((8, 16), (24, 6), (None, 2))  # (images, None: all; changes that go on)
_LEAST_STD = 1e-3  # of images that are all alike
_CLEAR = 2  # more images right, of those of a screen
_JUDGED = 24  # images on which a change that makes no more of them right is given up


def check_scaling(
    scores: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    named: bool,
    own: Preprocess | None = None,
    screening: Callable[[Tensor], Tensor] | None = None,
) -> list[Finding]:
    """Score a few images in the usual scalings, and report one that is right far more often.

    Args:
        scores: the model, images (n, c, h, w) to scores (n, k).
        images: (n, c, h, w), in [0, 1].
        labels: (n,).
        classes: k; a further column means "reject".
        named: the model was named by a spec, so that options of the command scale its images.
        own: the scaling that it was loaded with, which another one would replace.
        screening: scores of a cheaper copy, to choose the changes that the model is asked about;
            None: the model's own.
    """
    right = _right(scores(images), labels, classes)
    if int(right.sum()) >= _GOOD * len(labels):
        return []
    usual = _changes(images, named=named, own=own)
    changes = usual | _turns(images) | (_exchanges(images) if own is None else {})
    if not _can_convince(int((~right).sum()), among=len(changes)):
        return []
    better = _screened(
        screening or scores, changes, images, labels, classes, right=right, first=set(usual)
    )
    predictions = _tried(scores, better, images, labels, classes)
    useful = (1 + 1 / classes) / 2 * len(labels)  # what is less usual has to explain more
    convincing = {
        h: one for h, one in predictions.items() if h in usual or int(one.sum()) >= useful
    }
    return _found(right, convincing, among=len(changes), first=set(usual))


def _changes(images: Tensor, *, named: bool, own: Preprocess | None) -> dict[str, Change]:
    """Return the usual scalings by the option that sets them."""
    mean, std = (own.mean.cpu(), own.std.cpu()) if own is not None else (0.0, 1.0)
    brightest = 1.0 if own is None else own.input_range
    changes = {}
    for scaling in (*_usual(images), *([NONE] if own else [])):
        if own is not None and own.channels is not None and scaling.channels is not None:
            continue  # colours are in an order that was asked for
        how = scaling.options if named else f"Pipeline({scaling.call}, model) of epsball.models"
        # what the model's own scaling makes of this is what the other scaling would give
        changes[f"with {how}"] = _scaled(scaling, mean / brightest, std / brightest)
    return changes


def _turns(images: Tensor) -> dict[str, Change]:
    square = images.shape[2] == images.shape[3]
    return {how: turn for how, turn in TURNED.items() if square or "rows" not in how}


def _scaled(scaling: Scaling, mean: Tensor | float, std: Tensor | float) -> Change:
    return lambda images: scaling(images) * std + mean


def _usual(images: Tensor) -> list[Scaling]:
    """Return the usual scalings, and the one by mean and standard deviation of these images."""
    each = images.transpose(0, 1).flatten(1)  # (c, n h w)
    mean, std = each.mean(1), each.std(1).clamp_min(_LEAST_STD)
    known = COLOUR if images.shape[1] == 3 else GREY
    return [*known, Scaling("these images", _rounded(mean), _rounded(std))]


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)


def _exchanges(images: Tensor) -> dict[str, Change]:
    """Return every usual scaling in place of every other, for a model that scales by itself."""
    usual = [one for one in _usual(images) if one.channels is None and one.name != "CIFAR-100"]
    return {
        _exchange(wrong, right): _exchanged(wrong, right)
        for wrong, right in itertools.permutations((*usual, NONE), 2)
        if wrong is not NONE
    }


def _exchange(wrong: Scaling, right: Scaling) -> str:
    if right is NONE:
        return f"with {wrong.call} left out once, as if it were applied twice,"
    return f"with {right.call} in place of {wrong.call} in the model"


def _exchanged(wrong: Scaling, right: Scaling) -> Change:
    def change(images: Tensor) -> Tensor:
        mean, std = (torch.tensor(v or (d,)) for v, d in ((wrong.mean, 0.0), (wrong.std, 1.0)))
        shown = right(images) * std.view(-1, 1, 1) + mean.view(-1, 1, 1)
        return shown / (wrong.input_range or 1)

    return change


def _screened(
    scores: Callable[[Tensor], Tensor],
    changes: dict[str, Change],
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    right: Tensor,
    first: set[str],
) -> dict[str, Change]:
    """Return the changes under which clearly more of the images that are looked at are right.

    Changes in `first`, which an option makes, precede others that are not clearly better. Each
    screen scores only images that none before it has scored.
    """
    order = _nested(len(labels), [count for count, _ in _SCREENS if count is not None])
    seen, known = 0, {how: torch.zeros(0, dtype=torch.bool) for how in changes}
    for count, most in _SCREENS:
        new = order[seen : len(labels) if count is None else max(seen, count)]
        seen += len(new)
        if len(new):
            more = _tried(scores, changes, images[new], labels[new], classes)
            known = {how: torch.cat([known[how], more[how]]) for how in more}
        # what convinces on all images is a gain of a quarter of them
        least = int(right[order[:seen]].sum()) + max(1, min(_CLEAR, seen // 4))
        ranked = sorted(known, key=lambda how: -_rank(how, known[how], first))[:most]
        if seen >= _JUDGED:
            ranked = [how for how in ranked if int(known[how].sum()) >= least]
        changes = {how: changes[how] for how in ranked}
    return changes


def _nested(count: int, sizes: Sequence[int]) -> Tensor:
    """Return an order of images in which the first of each size lie evenly over all."""
    chosen, left = torch.zeros(0, dtype=torch.int64), torch.arange(count)
    for size in (*sizes, count):
        new = min(size, count) - len(chosen)
        even = left[torch.linspace(0, len(left) - 1, max(0, new)).long()]
        chosen, left = torch.cat([chosen, even]), left[~torch.isin(left, even)]
    return chosen


def _tried(
    scores: Callable[[Tensor], Tensor],
    changes: dict[str, Change],
    images: Tensor,
    labels: Tensor,
    classes: int,
) -> dict[str, Tensor]:
    """Return which images are right under each change; one the model refuses is left out."""
    predictions: dict[str, Tensor] = {}
    for how, change in changes.items():
        try:
            predictions[how] = _right(scores(change(images)), labels, classes)
        except EpsballError:  # a model may refuse pixels outside [0, 1]
            continue
    return predictions


def _can_convince(wrong: int, *, among: int) -> bool:
    """Say whether a change under which all images are right would be more than chance."""
    return wrong > 0 and mcnemar(wrong, 0) < _SURPRISE / among


def _rank(how: str, predictions: Tensor, first: set[str]) -> int:
    """Return the images that are right, and a bonus for a change that an option makes."""
    return int(predictions.sum()) + _CLEAR * (how in first)


def _found(
    right: Tensor, predictions: dict[str, Tensor], *, among: int, first: set[str]
) -> list[Finding]:
    if not predictions:
        return []
    how, best = max(predictions.items(), key=lambda item: _rank(item[0], item[1], first))
    count, before, after = len(right), int(right.sum()), int(best.sum())
    more, fewer = int((best & ~right).sum()), int((right & ~best).sum())
    surprise = mcnemar(more, fewer) if more > fewer else 1.0
    if after - before < _LEAST_GAIN * count or surprise >= _SURPRISE / among:
        return []
    severity: Severity = "blocking" if after >= _FACTOR * before else "warning"
    message = (
        f"on {count} images clean accuracy is {before / count:.0%}; {how} it would be "
        f"{after / count:.0%}"
    )
    evidence = {"accuracy": before / count, "otherwise": after / count, "how": how}
    return [replace(finding("other-scaling", message, **evidence), severity=severity)]


def _right(scores: Tensor, labels: Tensor, classes: int) -> Tensor:
    return torch.as_tensor(scores[:, :classes].argmax(1) == labels)
