"""One attack, towards one wrong class after another."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from epsball.attacks.core.ascent import BestSeen, judge
from epsball.attacks.core.asking import Part, all_rows, class_count, read, search_part
from epsball.attacks.core.checks import check_call
from epsball.attacks.gradient.pgd import Mislead
from epsball.errors import InvalidInput
from epsball.geometry import size
from epsball.objectives import margin
from epsball.randomness import ImageStreams
from epsball.tensors import Classifier, Images, Labels
from epsball.types import NORMS, Norm, Search


def over_targets(
    attack: Callable[..., Images], *, count: int | Literal["all"] = 9
) -> Callable[..., Images]:
    """Run an attack towards each of the likeliest wrong classes and keep each image's best.

    An attack that only wants to get away from the label may be caught on a hill of its loss; one
    that is told where to go starts in as many directions as there are classes.

    Args:
        attack: a function with the house signature, that takes targets.
        count: how many wrong classes are tried, in the order in which the model likes them for the
            clean image; all of them where it has fewer, or for "all".

    Returns:
        A function with the same signature. Of an attack that takes eps, results rank by (fooled,
        margin), and an image that is fooled is not attacked again. Of one that takes none, the
        nearest that fools is kept, and an image that is wrong already is not attacked at all.
        Any class but the label is a success. With `targets` the attack runs once, towards those.
        Ranking costs one forward pass a class, and one for the clean image; a budget of queries
        is spent anew on each class.

    Raises:
        InvalidInput: count is below 1; when called: the model has fewer than two classes, or the
            norm is needed and unknown.

    Source: the targeted attacks of Croce and Hein 2020, arXiv:2003.01690, section 4.2, where 9 is
    all wrong classes of CIFAR-10.

    Example:
        >>> import torch
        >>> from epsball.attacks import pgd
        >>> thorough = over_targets(pgd, count="all")
        >>> x, y = torch.tensor([[[[0.5, 0.1, 0.4]]]]), torch.tensor([0])
        >>> adversarial = thorough(torch.nn.Flatten(), x, y, eps=0.125)
        >>> adversarial.argmax().item()
        2
    """
    if count != "all" and not (isinstance(count, int) and count >= 1):
        raise InvalidInput(f"over_targets: count must be >= 1 or 'all', got {count!r}")

    @functools.wraps(attack)
    def aimed(
        model: Classifier,
        inputs: Images,
        labels: Labels,
        *,
        targets: Labels | None = None,
        generator: Any = None,  # noqa: ANN401 - whatever the attack itself takes
        search: Search | None = None,
        **settings: Any,  # noqa: ANN401 - the attack's own knobs
    ) -> Images:
        check_call("over_targets", inputs, labels, targets, eps=None, norm=None, norms=())
        if targets is not None:
            arguments = _with_search(settings, search)
            return attack(model, inputs, labels, targets=targets, generator=generator, **arguments)
        norm = None if _takes_eps(attack, settings) else _norm_of(attack, settings)
        results = _Held(model, inputs, labels, norm, search or Search(retire=False))
        rows, clean = all_rows(inputs), results.read(inputs, all_rows(inputs))
        order = _likeliest(model, clean, labels, count)
        results.take(inputs, rows, clean)
        if norm is not None:  # nothing is nearer than a clean image that is wrong
            rows = rows[~results.best.success]
        for number, towards in enumerate(order):
            if not len(rows):
                break
            fresh = generator
            if isinstance(generator, ImageStreams):
                fresh = generator.restarted(number).rows(rows)
            points = attack(
                Part(model, rows),
                inputs[rows],
                labels[rows],
                targets=towards[rows],
                generator=fresh,
                **_with_search(settings, search_part(search, rows)),
            )
            success = results.take(points, rows, results.read(points, rows))
            rows = rows[~success] if norm is None else rows
        return results.best.points

    return aimed


class _Held:
    """The best results so far, by nearness in norm, or, without one, by how much they fool."""

    def __init__(
        self, model: Classifier, inputs: Tensor, labels: Tensor, norm: Norm | None, search: Search
    ) -> None:
        """Hold nothing yet."""
        self.model = search.confirm or model
        self.inputs, self.norm, self.search = inputs, norm, search
        self.goal = Mislead(model, margin, labels, None)
        self.best = BestSeen(inputs)

    def read(self, points: Tensor, rows: Tensor) -> Tensor:
        """Return the scores (m, k) of what was made of some rows."""
        return read(self.model, points, rows, self.search.micro_batch)

    def take(self, points: Tensor, rows: Tensor, logits: Tensor) -> Tensor:
        """Rank the results of some rows; return which of them are a confirmed success."""
        goal = self.goal.rows(rows)
        success, clear_success = judge(self.search, goal, points, logits, rows, exact=True)
        if self.norm is None:
            value = goal.value(logits)
        else:
            value = -size(points - self.inputs[rows], self.norm)
        self.best.update(points, value, success, rows)
        return clear_success


def _likeliest(
    model: Classifier, logits: Tensor, labels: Tensor, count: int | Literal["all"]
) -> tuple[Tensor, ...]:
    """Return for each try the class (n,) it goes to: the likeliest wrong ones, best first."""
    classes = class_count(model, logits)
    if classes < 2:
        raise InvalidInput(
            f"over_targets: the model must have at least 2 classes, got {classes}; "
            "for a binary model z return torch.cat([torch.zeros_like(z), z], dim=1)"
        )
    wrong = logits[:, :classes].scatter(1, labels[:, None], -torch.inf)
    tries = classes - 1 if count == "all" else min(count, classes - 1)
    return wrong.topk(tries, dim=1).indices.unbind(1)


def _with_search(settings: dict[str, Any], search: Search | None) -> dict[str, Any]:
    """Hand a search on only where there is one: not every attack takes it."""
    return settings if search is None else settings | {"search": search}


def _takes_eps(attack: Callable[..., Images], settings: dict[str, Any]) -> bool:
    while isinstance(attack, functools.partial):
        settings, attack = attack.keywords | settings, attack.func
    return "eps" in settings or "eps" in inspect.signature(attack).parameters


def _norm_of(attack: Callable[..., Images], settings: dict[str, Any]) -> Norm:
    """Return the norm in which an attack without eps looks for the nearest image."""
    own = inspect.signature(attack).parameters.get("norm")
    norm = settings.get("norm", None if own is None else own.default)
    if norm not in NORMS:
        raise InvalidInput(
            f"over_targets: norm must be one of {', '.join(NORMS)} for an attack without eps, "
            f"got {norm!r}; pass norm="
        )
    own_norm: Norm = norm
    return own_norm
