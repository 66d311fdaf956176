"""The checks of an attack's arguments, before any forward pass."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.geometry import check_norm
from epsball.radii import check_eps, check_room
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm


def check_call(
    attack: str,
    inputs: Tensor,
    labels: Tensor,
    targets: Tensor | None,
    *,
    eps: float | None,
    norm: Norm | None,
    norms: tuple[Norm, ...],
    steps: int = 1,
    step_size: float | None = None,
    queries: int | None = None,
) -> None:
    """Raise the error that names the first argument that breaks its rule.

    Args:
        attack: its name, for the message.
        inputs: (n, c, h, w).
        labels: (n,).
        targets: (n,), or None.
        eps: radius; None for an attack that takes none.
        norm: the norm; None for an attack without one.
        norms: those it is defined for.
        steps: at least 1.
        step_size: above 0, or None.
        queries: at least 1, or None for an attack that does not count them.

    Raises:
        InvalidInput: shapes, dtypes, eps, steps, step_size, queries, targets equal to labels.
        UnsupportedNorm: the attack is not defined for norm.
    """
    if norm is not None:
        check_norm(attack, norm, norms)
    if eps is not None:
        check_eps(attack, eps)
        if norm is not None:
            check_room(attack, eps, norm, inputs.shape[1:].numel())
    for name, classes in (("labels", labels), ("targets", targets)):
        if classes is not None:
            check_classes(attack, name, classes, len(inputs))
    if targets is not None:
        _check_targets(attack, labels, targets)
    _check_counts(attack, steps, step_size, queries)


def _check_counts(attack: str, steps: int, step_size: float | None, queries: int | None) -> None:
    if steps < 1:
        raise InvalidInput(f"{attack}: steps must be >= 1, got {steps}")
    if step_size is not None and not step_size > 0:
        raise InvalidInput(f"{attack}: step_size must be > 0, got {step_size}")
    if queries is not None and queries < 1:
        raise InvalidInput(
            f"{attack}: queries must be >= 1, got {queries}; the clean image alone takes one"
        )


def takes_no_eps(attack: Callable[..., Images]) -> Callable[..., Images]:
    """Mark an attack that searches the nearest image: an eps is refused, with the reason."""

    @functools.wraps(attack)
    def checked(*args: Any, **named: Any) -> Images:  # noqa: ANN401 - the attack's own
        if "eps" in named:
            raise InvalidInput(
                f"{attack.__name__}: takes no eps, got {named['eps']}: it returns the nearest "
                "fooled image it finds; compare its distance with eps, or use an attack with a "
                "budget such as pgd"
            )
        return attack(*args, **named)

    return checked


def of_images(attack: Callable[..., Images]) -> Callable[..., Images]:
    """Mark an attack that moves, cuts or draws in two dimensions: vectors (n, d) are refused."""

    @functools.wraps(attack)
    def checked(model: Classifier, inputs: Images, labels: Labels, **named: Any) -> Images:  # noqa: ANN401 - the attack's own
        check_rank(attack.__name__, inputs)
        return attack(model, inputs, labels, **named)

    return checked


_AS_TENSOR = "torch.as_tensor of it"
_IMAGE, _VECTOR = 4, 2  # dimensions


def check_tensor(attack: str, inputs: object) -> None:
    """Refuse images that are no dense tensor (n, c, h, w), or vectors (n, d), with values."""
    if not isinstance(inputs, Tensor):
        raise InvalidInput(
            f"{attack}: inputs must be a tensor (n, c, h, w), got {type(inputs).__name__}; give "
            f"{_AS_TENSOR}"
        )
    if inputs.dim() != _VECTOR:
        check_rank(attack, inputs)
    if inputs.layout != torch.strided or inputs.is_meta:
        where = "on the meta device" if inputs.is_meta else f"in the layout {inputs.layout}"
        remedy = "read the images" if inputs.is_meta else "give inputs.to_dense()"
        raise InvalidInput(f"{attack}: inputs must have their values, got some {where}; {remedy}")


def check_rank(attack: str, inputs: Tensor) -> None:
    """Refuse what does not have the four dimensions of images."""
    if inputs.dim() != _IMAGE:
        single = inputs.dim() == _IMAGE - 1
        kind = "one image needs inputs[None]" if single else "give it that shape"
        raise InvalidInput(
            f"{attack}: inputs must be (n, c, h, w), got shape {tuple(inputs.shape)}; {kind}; a "
            "model of vectors takes (n, 1, 1, d) as lambda x: model(x.flatten(1))"
        )


def check_classes(attack: str, name: str, classes: Tensor, count: int) -> None:
    """Refuse classes that are no tensor of int64, one for each of a count of images."""
    if not isinstance(classes, Tensor):
        remedy = f"torch.full(({count},), {classes})" if isinstance(classes, int) else _AS_TENSOR
        raise InvalidInput(
            f"{attack}: {name} must be a tensor of shape ({count},), got {type(classes).__name__}; "
            f"give {remedy}"
        )
    if classes.dtype != torch.int64 or classes.shape != (count,):
        raise InvalidInput(
            f"{attack}: {name} must be int64 of shape ({count},), "
            f"got {classes.dtype} of shape {tuple(classes.shape)}; {_remedy_for(name, classes)}"
        )


def _remedy_for(name: str, classes: Tensor) -> str:
    """Return what to do about classes of another type or shape."""
    if classes.dim() == 1:
        is_long = classes.dtype == torch.int64
        return "give one class for each image" if is_long else f"give {name}.long()"
    return f"give {name}.argmax(1) of one-hot rows, one class for each image"


def _check_targets(attack: str, labels: Tensor, targets: Tensor) -> None:
    same = (targets == labels).nonzero()[:, 0]
    if len(same):
        row = int(same[0])
        raise InvalidInput(
            f"{attack}: targets must differ from labels, but row {row} asks for its own class "
            f"{int(labels[row])}; leave that row out or choose another class"
        )
