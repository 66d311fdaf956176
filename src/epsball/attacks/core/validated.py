"""The checks and conversions of arguments, once for each call of a public attack."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from epsball.attacks.core.asking import Part, call_model, class_count, search_part
from epsball.attacks.core.calling import check_names, gradients_possible, usable
from epsball.attacks.core.checks import check_classes, check_tensor
from epsball.attacks.core.masking import under_mask
from epsball.errors import InvalidInput
from epsball.radii import parse_eps
from epsball.randomness import ImageStreams
from epsball.tensors import Classifier, Images, Labels

_UNCHECKED = "unchecked"
_ROUNDING = 1e-6  # float32 arithmetic on images in [0, 1] may leave the box by so much


def validated(attack: Callable[..., Images]) -> Callable[..., Images]:
    """Check the arguments of a public attack, and accept them in more forms.

    The attack keeps its signature. On top of it, `eps` may be a text such as "8/255", a number of
    numpy or torch, or one value for each image, (n,): images of equal eps are then attacked
    together. `mask`, broadcast to (n, c, h, w), says which entries an attack in a ball may change.

    Args:
        attack: a function with the house signature.

    Returns:
        The same attack. It raises `InvalidInput` for images that are not float32 or float64 in
        [0, 1], labels that the model has no class for, and a ball without room in the box; it
        returns an empty batch for an empty batch.
    """
    parameters = inspect.signature(attack).parameters
    whole = [name for name, p in parameters.items() if type(p.default) is int]

    @gradients_possible()
    @functools.wraps(attack)
    def checked(
        model: Classifier,
        inputs: Images,
        labels: Labels,
        *unnamed: object,
        mask: Tensor | None = None,
        **named: Any,  # noqa: ANN401 - the attack's own
    ) -> Images:
        name = attack.__name__
        check_names(attack, unnamed, named)
        inputs, labels, mask = usable(inputs), usable(labels), usable(mask)
        named = {key: usable(value) for key, value in named.items()}
        check_images(name, inputs)
        check_classes(name, "labels", labels, len(inputs))
        if named.get("targets") is not None:
            check_classes(name, "targets", named["targets"], len(inputs))
        named |= {key: _whole(name, key, named[key]) for key in whole if key in named}
        known = _KnownClasses(name, model, {"labels": labels, "targets": named.get("targets")})
        ran: Callable[..., Images] = attack
        if "eps" in named and "eps" in parameters:
            radii = _radii(name, named.pop("eps"), len(inputs))
            ran = _by_radius(attack, radii)
        if mask is not None:
            ran = under_mask(name, ran, mask)
        if not len(inputs):
            return inputs.detach().clone()
        return ran(known, inputs, labels, **named)

    vars(checked)[_UNCHECKED] = attack
    return checked


def unchecked(attack: Callable[..., Images]) -> Callable[..., Images]:
    """Return an attack without the checks of `validated`, for a caller that has made them."""
    plain: Callable[..., Images] = vars(attack).get(_UNCHECKED, attack)
    return plain


def check_images(attack: str, inputs: Tensor) -> None:
    """Refuse images that are not float32 or float64 in [0, 1].

    Raises:
        InvalidInput: dtype, NaN or range.
    """
    check_tensor(attack, inputs)
    if not inputs.is_floating_point():
        raise InvalidInput(
            f"{attack}: inputs must be float in [0, 1], got {inputs.dtype}; divide by 255"
        )
    if inputs.dtype not in (torch.float32, torch.float64):
        raise InvalidInput(
            f"{attack}: inputs must be float32 or float64, got {inputs.dtype}, in which a step "
            "underflows; give inputs.float(), and a model that computes in half precision as "
            "lambda x: model(x.half())"
        )
    if not inputs.numel():
        return
    lowest, highest = (float(edge) for edge in inputs.detach().aminmax())
    if lowest >= -_ROUNDING and highest <= 1 + _ROUNDING:
        return
    remedy = "divide by 255" if lowest >= 0 else "undo the normalisation and put it into the model"
    if lowest != lowest or highest != highest:  # noqa: PLR0124 - NaN differs from itself
        remedy = "mend or leave out the images that hold NaN"
    raise InvalidInput(
        f"{attack}: inputs must lie in [0, 1], these lie in [{lowest:.6g}, {highest:.6g}]; {remedy}"
    )


class _KnownClasses:
    """A classifier whose first answer shows whether labels and targets are classes of it.

    It gets copies: a model that works in place on what it is given changes no image of others.

    Args:
        attack: its name, for the message.
        model: the classifier; everything else that it has is passed on.
        named: labels and targets, (n,) each, or None.
    """

    def __init__(self, attack: str, model: Classifier, named: Mapping[str, Tensor | None]) -> None:
        self.attack, self.model = attack, model
        self.named = {name: classes for name, classes in named.items() if classes is not None}
        for name, classes in self.named.items():
            self._refuse(name, classes, classes < 0, "0 or more")

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores."""
        return self._checked(self.model(inputs.clone()))

    def score_rows(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Return the model's scores of some rows of the batch."""
        return self._checked(call_model(self.model, inputs.clone(), rows))

    def _checked(self, logits: Tensor) -> Tensor:
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            return logits  # what asks says what is wrong
        for name, classes in self.named.items():
            count = class_count(self.model, logits)
            self._refuse(name, classes, classes >= count, f"below {count}, the model's classes")
        self.named = {}
        half = logits.dtype in (torch.float16, torch.bfloat16)
        return logits.float() if half else logits

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the model has
        return getattr(self.model, name)

    def _refuse(self, name: str, classes: Tensor, wrong: Tensor, rule: str) -> None:
        if not bool(wrong.any()):
            return
        row = int(wrong.nonzero()[0, 0])
        raise InvalidInput(
            f"{self.attack}: {name} must be {rule}, row {row} is {int(classes[row])}; leave that "
            f"row out or correct it"
        )


def _whole(attack: str, name: str, value: Any) -> Any:  # noqa: ANN401 - a number of any library
    """Return a setting that counts something as an int."""
    number = value.item() if hasattr(value, "item") else value
    if number is None or isinstance(number, bool):
        return number
    if isinstance(number, int | float) and number == int(number):
        return int(number)
    raise InvalidInput(f"{attack}: {name} must be a whole number, got {value!r}")


def _radii(attack: str, eps: Any, count: int) -> list[float]:  # noqa: ANN401 - one or many
    """Return one radius for all images, or one for each."""
    several = eps.tolist() if hasattr(eps, "tolist") else eps
    if not isinstance(several, list | tuple):
        return [_radius(attack, several)]
    if len(several) != count:
        raise InvalidInput(
            f"{attack}: eps must be one number or one for each of {count} images, got "
            f"{len(several)}; give a number, or a tensor of shape ({count},)"
        )
    return [_radius(attack, one) for one in several]


def _radius(attack: str, eps: Any) -> float:  # noqa: ANN401 - a number in any form
    try:
        return parse_eps(eps)
    except InvalidInput as error:
        raise InvalidInput(f"{attack}: {error}") from None


def _by_radius(attack: Callable[..., Images], radii: list[float]) -> Callable[..., Images]:
    """Return an attack that has its radii: one for all images, or those of equal ones together."""
    if len(set(radii)) <= 1:
        return functools.partial(attack, eps=radii[0] if radii else 0.0)

    @functools.wraps(attack)
    def grouped(model: Classifier, inputs: Images, labels: Labels, **named: Any) -> Images:  # noqa: ANN401 - the attack's own
        attacked = inputs.detach().clone()
        each = torch.tensor(radii, dtype=torch.float64, device=inputs.device)
        for eps in dict.fromkeys(radii):
            rows = (each == eps).nonzero()[:, 0]
            arguments = _rows_of(named, rows)
            attacked[rows] = attack(
                Part(model, rows), inputs[rows], labels[rows], eps=eps, **arguments
            )
        return attacked

    return grouped


def _rows_of(named: Mapping[str, Any], rows: Tensor) -> dict[str, Any]:
    """Return an attack's arguments for some rows of its batch."""
    arguments = dict(named)
    for key in ("targets", "starts"):
        if arguments.get(key) is not None:
            arguments[key] = arguments[key][rows]
    if isinstance(arguments.get("generator"), ImageStreams):
        arguments["generator"] = arguments["generator"].rows(rows)
    if arguments.get("search") is not None:
        arguments["search"] = search_part(arguments["search"], rows)
    return arguments
