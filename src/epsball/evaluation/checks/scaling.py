"""Whether the model is right far more often with one of the usual scalings of its images."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from epsball.errors import EpsballError
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.checks.likelihood import fitted_loss, is_likelier, surprise
from epsball.evaluation.checks.usual_scalings import Change, exchanges, turns, usual_changes
from epsball.evaluation.metrics.statistics import mcnemar
from epsball.models import Preprocess
from epsball.types import Finding, Severity

_SURPRISE = 1e-3  # p below which another scaling is no chance, shared by all that are tried
_LEAST_GAIN = 0.1  # of the images looked at
_GOOD = 0.9  # a model that is right so often needs no other scaling
_FACTOR = 2  # times as many right: the number is another model's
# (images, None: all; changes that go on), by the share that the model gets right as it is: the more
# are right, the more images it takes to tell changes apart
_SCREENS = {
    0.0: ((8, 6), (24, 3), (None, 2)),
    0.8: ((16, 12), (64, 4), (None, 2)),
    _GOOD: ((64, 2), (None, 2)),
}
_PROMISING = 0.9  # of the cross-entropy, on the images of a screen
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
    """Score a few images in the usual scalings, and report one that suits the model far better.

    It makes far more images right, or, where the model is right already, the labels far likelier:
    a network that is robust to a forgotten scaling in clean accuracy need not be so under attack.

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
    usual = usual_changes(images, named=named, own=own)
    changes = usual | turns(images) | (exchanges(images) if own is None else {})
    plain = scores(images)[:, :classes]
    right = plain.argmax(1) == labels
    share = float(right.double().mean())
    accurate = share >= _GOOD or not _can_convince(int((~right).sum()), among=len(changes))
    if accurate and len(labels) < _JUDGED:
        return []
    tried = _Tried(usual if accurate else changes, images, labels, plain=plain, first=set(usual))
    screens = next(_SCREENS[least] for least in sorted(_SCREENS, reverse=True) if share >= least)
    for count, most in screens:
        tried.keep(screening or scores, count, most)
    tried.end(scores)
    return _righter(tried, among=len(changes)) or _likelier(tried, among=len(changes))


class _Tried:
    """Changes of the images that are still tried, and the scores that the model gave under them.

    Args:
        changes: by how to bring each about.
        images: (n, c, h, w), in [0, 1].
        labels: (n,).
        plain: scores (n, k) of the unchanged images.
        first: changes that an option makes; they precede others that are not clearly better.
    """

    def __init__(
        self,
        changes: dict[str, Change],
        images: Tensor,
        labels: Tensor,
        *,
        plain: Tensor,
        first: set[str],
    ) -> None:
        self.changes, self.first = changes, first
        self.images, self.labels, self.plain = images, labels, plain
        sizes = {count for screens in _SCREENS.values() for count, _ in screens if count}
        self.order = _nested(len(labels), sorted(sizes))
        self.scores = dict.fromkeys(changes, plain[:0])  # of the first images of the order

    def keep(self, scores: Callable[[Tensor], Tensor], count: int | None, most: int) -> None:
        """Score the first images of the order, and keep the changes that make labels likeliest.

        No image is scored twice. On enough images a change is given up where it neither makes
        clearly more of them right nor, being usual, makes their labels likelier.
        """
        seen = min([len(one) for one in self.scores.values()], default=0)
        rows = self.order[: max(seen, len(self.labels) if count is None else count)]
        self._score(scores, rows[seen:])
        right = int((self.plain[rows].argmax(1) == self.labels[rows]).sum())
        # what convinces on all images is a gain of a quarter of them
        least = right + max(1, min(_CLEAR, len(rows) // 4))
        loss = fitted_loss(self.plain[rows], self.labels[rows])
        ranks = {}
        for how, known in self.scores.items():
            other = fitted_loss(known, self.labels[rows])
            count_right = int((known.argmax(1) == self.labels[rows]).sum())
            likelier = how in self.first and is_likelier(other, loss, _PROMISING)
            if len(rows) < _JUDGED or count_right >= least or likelier:
                ranks[how] = float(other.mean().nan_to_num(math.inf))
        kept = sorted(ranks, key=ranks.__getitem__)[:most]
        self.scores = {how: self.scores[how] for how in kept}

    def end(self, scores: Callable[[Tensor], Tensor]) -> None:
        """Ask the model itself about all images under the changes that are left."""
        self.scores = dict.fromkeys(self.scores, self.plain[:0])
        self._score(scores, torch.arange(len(self.labels)))

    def _score(self, scores: Callable[[Tensor], Tensor], rows: Tensor) -> None:
        known, self.scores = self.scores, {}
        for how, before in known.items():
            try:
                new = scores(self.changes[how](self.images[rows])) if len(rows) else before[:0]
            except EpsballError:  # a model may refuse pixels outside [0, 1]
                continue
            self.scores[how] = torch.cat([before, new[:, : self.plain.shape[1]]])


def _nested(count: int, sizes: Sequence[int]) -> Tensor:
    """Return an order of images in which the first of each size lie evenly over all."""
    chosen, left = torch.zeros(0, dtype=torch.int64), torch.arange(count)
    for size in (*sizes, count):
        new = min(size, count) - len(chosen)
        even = left[torch.linspace(0, len(left) - 1, max(0, new)).long()]
        chosen, left = torch.cat([chosen, even]), left[~torch.isin(left, even)]
    return chosen


def _can_convince(wrong: int, *, among: int) -> bool:
    """Say whether a change under which all images are right would be more than chance."""
    return wrong > 0 and mcnemar(wrong, 0) < _SURPRISE / among


def _rank(how: str, right: int, first: set[str]) -> int:
    """Return the images that are right, and a bonus for a change that an option makes."""
    return right + _CLEAR * (how in first)


def _righter(tried: _Tried, *, among: int) -> list[Finding]:
    """Report the change under which far more images are right."""
    labels, first = tried.labels, tried.first
    right = tried.plain.argmax(1) == labels
    # what is less usual has to explain more: half of the way from guessing to being always right
    useful = (1 + 1 / tried.plain.shape[1]) / 2 * len(labels)
    predictions = {how: scores.argmax(1) == labels for how, scores in tried.scores.items()}
    ranks = {
        how: _rank(how, int(one.sum()), first)
        for how, one in predictions.items()
        if how in first or int(one.sum()) >= useful
    }
    if not ranks:
        return []
    how = max(ranks, key=ranks.__getitem__)
    best = predictions[how]
    count, before, after = len(right), int(right.sum()), int(best.sum())
    more, fewer = int((best & ~right).sum()), int((right & ~best).sum())
    unlikely = mcnemar(more, fewer) if more > fewer else 1.0
    if after - before < _LEAST_GAIN * count or unlikely >= _SURPRISE / among:
        return []
    severity: Severity = "blocking" if after >= _FACTOR * before else "warning"
    message = (
        f"on {count} images clean accuracy is {before / count:.0%}; {how} it would be "
        f"{after / count:.0%}"
    )
    evidence = {"accuracy": before / count, "otherwise": after / count, "how": how}
    return [replace(finding("other-scaling", message, **evidence), severity=severity)]


def _likelier(tried: _Tried, *, among: int) -> list[Finding]:
    """Report the usual scaling under which the labels are far likelier, and no fewer right."""
    labels = tried.labels
    loss, right = fitted_loss(tried.plain, labels), int((tried.plain.argmax(1) == labels).sum())
    losses = {
        how: fitted_loss(scores, labels)
        for how, scores in tried.scores.items()
        if how in tried.first and int((scores.argmax(1) == labels).sum()) >= right
    }
    if not losses:
        return []
    how = min(losses, key=lambda one: float(losses[one].mean()))
    if not is_likelier(losses[how], loss) or surprise(losses[how], loss) >= _SURPRISE / among:
        return []
    before, after = float(loss.mean()), float(losses[how].mean())
    message = (
        f"on {len(labels)} images clean accuracy is {right / len(labels):.0%}, but the labels are "
        f"far likelier {how} (cross-entropy {after:.2g} instead of {before:.2g} an image, each at "
        "its best temperature): the model may have been trained with such a scaling, and then its "
        "robust accuracy here is another model's"
    )
    return [finding("other-scaling", message, loss=before, otherwise=after, how=how)]
