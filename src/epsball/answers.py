"""What a model answers, and what to do about an answer that holds no scores."""

import torch
from torch import Tensor

from epsball.errors import BrokenContract

_RETURN = "return one row of scores an image, (n, k)"
_UNWRAP = {
    "logits": "wrap it so that it returns `output.logits`",
    "dict": "name the scores (--output logits), or wrap it so that it returns them alone",
    "tuple": "wrap it so that it returns the scores alone, or say which they are (--output 0)",
}


def check_answer(output: object, count: int) -> Tensor:
    """Return a model's answer if it is one row of two scores or more for each image.

    Args:
        output: whatever the model returned.
        count: of images it was asked about.

    Raises:
        BrokenContract: it is something else; the message says how to wrap the model.
    """
    if not isinstance(output, Tensor):
        description = f"a {type(output).__name__}"
        raise _refused(description, _UNWRAP.get(_form(output), _RETURN))
    description = f"a tensor of shape {tuple(output.shape)} and type {output.dtype}"
    if output.layout != torch.strided:
        raise _refused(f"{description} in the layout {output.layout}", "return it .to_dense()")
    if not output.is_floating_point():
        raise _refused(description, "labels have no scores to attack, return logits (n, k)")
    if count and output.numel() == count and (output.ndim == 1 or output.shape[1] == 1):
        raise _refused(description, _for_two_classes(output))
    if output.ndim != 2 or len(output) != count or output.shape[1] < 2:
        raise _refused(f"{description} for {count} images", _RETURN)
    return output


def _for_two_classes(output: Tensor) -> str:
    """Say what a model with one output has to return; 1 is the class that a large output means."""
    column = "" if output.shape == (len(output), 1) else ".flatten()[:, None]"
    if bool(((output >= 0) & (output <= 1)).all()):
        p = f"p{column}"
        return (
            "one output names no second class; for a probability p of class 1 "
            f"return torch.cat([1 - {p}, {p}], dim=1)"
        )
    z = f"z{column}"
    return (
        "one output names no second class; for a logit z of class 1 "
        f"return torch.cat([torch.zeros_like({z}), {z}], dim=1)"
    )


def _form(output: object) -> str:
    if hasattr(output, "logits"):
        return "logits"
    if isinstance(output, dict):
        return "dict"
    return "tuple" if isinstance(output, tuple | list) else ""


def _refused(description: str, remedy: str) -> BrokenContract:
    return BrokenContract(
        f"the model must return scores (n, k), it returned {description}: {remedy}"
    )


def scores_like(output: object, images: Tensor) -> Tensor:
    """Check a model's answer and return it in the images' own type.

    Scores in half precision or in float64 are taken as they are meant: attacks compare them with
    values in the type of the images.
    """
    checked = check_answer(output, len(images))
    return checked if checked.dtype == images.dtype else checked.to(images.dtype)


def is_finite(scores: Tensor) -> bool:
    """Say whether scores hold neither NaN nor plus infinity; minus infinity rules out a class."""
    return not bool(scores.isnan().any() or scores.isposinf().any())
