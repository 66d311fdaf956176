"""The nearest image in another leaf of a decision tree, in 8 bits."""

import torch
from torch import Tensor

from epsball.attacks.core.checks import check_call, of_images, takes_no_eps
from epsball.attacks.core.validated import validated
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import size
from epsball.randomness import Randomness
from epsball.tensors import Boxes, Classifier, Images, Labels
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1", "l0")
_VALUES_AT_ONCE = 1 << 24


@takes_no_eps
@validated
@of_images
def boxes(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    norm: Norm = "l0",
    targets: Labels | None = None,
    generator: Randomness = None,  # noqa: ARG001 - one signature for every attack
) -> Images:
    """Find the nearest image in a leaf of another class, for models that show their leaves.

    Args:
        model: has a method `boxes()` that returns its `Boxes`, as a decision tree of scikit-learn
            does.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        norm: "linf", "l2", "l1" or "l0"; what nearest means.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: not used.

    Returns:
        (n, c, h, w) in [0, 1]: the nearest image of which every changed value is a grey level
        k / 255, so that it survives being saved in 8 bits: an exact minimum. The clean image where
        it is wrong already, or where no leaf of the class can be reached.

    Raises:
        InvalidInput: an argument breaks its rule, or the model shows no boxes.
        UnsupportedNorm: norm is none of the four.

    Source: Papernot et al. 2016, arXiv:1605.07277, algorithm 1, which looks for the nearest leaf
    along the tree. Departure: all leaves are compared, so that none is nearer.
    """
    check_call("boxes", inputs, labels, targets, eps=None, norm=norm, norms=NORMS)
    model_boxes = boxes_of(model)
    clean = inputs.detach()
    points = clean.flatten(1)
    if model_boxes.low.shape[1] != points.shape[1]:
        raise InvalidInput(
            f"boxes: the model's boxes have {model_boxes.low.shape[1]} values, got images of shape "
            f"{tuple(inputs.shape[1:])}; give images of the size that the model was fitted on"
        )
    low, high = (
        model_boxes.levels.to(points)[side.to(points.device)]
        for side in (model_boxes.low, model_boxes.high)
    )
    classes = model_boxes.labels.to(points.device)
    nearest = points.clone()
    for row in range(len(points)):
        point, label = points[row], labels[row]
        inside = ((point >= low) & (point <= high)).all(1)
        reached = classes != label if targets is None else classes == targets[row]
        if bool((inside & reached).any()) or not bool(reached.any()):
            continue
        nearest[row] = _nearest_in(point, low[reached], high[reached], norm)
    return nearest.view_as(clean)


def boxes_of(model: Classifier) -> Boxes:
    """Return the boxes that a model shows.

    Raises:
        InvalidInput: it shows none.
    """
    show = getattr(model, "boxes", None)
    model_boxes = show() if callable(show) else None
    if not isinstance(model_boxes, Boxes):
        raise InvalidInput(
            "boxes: the model shows no boxes, only a single decision tree does: use hopskipjump or "
            "square, which need scores or labels alone"
        )
    return model_boxes


def _nearest_in(point: Tensor, low: Tensor, high: Tensor, norm: Norm) -> Tensor:
    """Return the point of several boxes that is nearest to a point, (d,)."""
    best, distance = point, torch.inf
    step = max(1, _VALUES_AT_ONCE // point.numel())
    for at in range(0, len(low), step):
        moved = torch.minimum(torch.maximum(point, low[at : at + step]), high[at : at + step])
        apart = size(moved - point, norm)
        index = int(apart.argmin())
        if float(apart[index]) < distance:
            best, distance = moved[index], float(apart[index])
    return best


SPEC = AttackSpec(
    boxes,
    kind="minimal",
    norms=("linf", "l2", "l1", "l0"),
    source="Papernot et al. 2016, arXiv:1605.07277",
    needs_gradient=False,
    needs_boxes=True,
)
