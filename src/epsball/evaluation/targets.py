"""Classes that targeted attacks are to reach, from what was asked for to one for every image."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.evaluation.settings import AttackSetting
from epsball.kinds.class_names import class_number

RULES = ("next", "least-likely")
LISTED = "file"


def resolve_targets(
    settings: Sequence[AttackSetting], classes: int, names: Sequence[str], images: int
) -> tuple[AttackSetting, ...]:
    """Replace the targets that were asked for by rules and numbers of classes.

    Args:
        settings: the attacks; `target` as it was typed.
        classes: k, of the model.
        names: of the classes, in label order; may be fewer than k.
        images: how many the data set has.

    Returns:
        The attacks; `target` is None, "next", "least-likely", the number of a class, or "file" with
        one class an image in `listed`.

    Raises:
        InvalidInput: no such class or file, or a file of another length.
    """
    known = [*names[:classes], *map(str, range(len(names), classes))]
    return tuple(_resolved(setting, known, images) for setting in settings)


def _resolved(setting: AttackSetting, names: Sequence[str], images: int) -> AttackSetting:
    text = setting.target
    if text is None or text in RULES:
        return setting
    file = Path(text).expanduser()
    if file.is_file():
        lines = file.read_text(encoding="utf-8").split("\n")
        lines = lines[:-1] if lines[-1] == "" else lines
        if len(lines) != images:
            raise InvalidInput(
                f"--target {file} must name one class a line for each of the {images:,} images of "
                f"the data, in their order, found {len(lines):,} lines: correct the file"
            )
        numbers = tuple(_number(line, names) for line in lines)
        return setting.changed(target=LISTED, listed=numbers)
    return setting.changed(target=str(_number(text, names)))


def _number(text: str, names: Sequence[str]) -> int:
    try:
        return class_number(text.strip(), names)
    except InvalidInput as error:
        raise InvalidInput(
            f"--target: {error}; or next, least-likely, or a file of one class a line"
        ) from None


def targets_of(
    setting: AttackSetting,
    labels: Tensor,
    positions: Tensor,
    least_likely: Tensor | None,
    classes: int,
) -> Tensor | None:
    """Return the class that each image is to reach, (n,) int64; None for an untargeted attack.

    Args:
        setting: the attack, its target resolved.
        labels: (n,), the true classes.
        positions: (n,), positions in the data set.
        least_likely: (n,), the class of the lowest clean score; None: not known.
        classes: k.
    """
    if setting.target is None:
        return None
    if setting.target == "next":
        return (labels + 1) % classes
    if setting.target == LISTED:
        return torch.tensor(setting.listed, dtype=torch.int64)[positions]
    if setting.target == "least-likely":
        if least_likely is None:
            raise ValueError("the clean scores of these examples were not read")
        return least_likely
    return torch.full_like(labels, int(setting.target))
