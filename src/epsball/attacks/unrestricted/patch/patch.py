"""A square sticker on the image: few pixels, but those may be anything."""

from epsball.attacks.core.checks import check_call, of_images
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.pgd import Mislead, shrinking
from epsball.attacks.spec import AttackSpec
from epsball.attacks.unrestricted.patch.place import Place, check_position, check_views, patch_side
from epsball.attacks.unrestricted.patch.walk import Walk
from epsball.objectives import named_objective
from epsball.randomness import Randomness, uniform
from epsball.tensors import Classifier, Images, Labels, Objective
from epsball.types import Search

_MIDDLE = 0.5  # a step crosses at most half of [0, 1], as if it were a ball of this radius


@validated
@of_images
def patch(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    share: float = 0.05,
    steps: int = 40,
    step_size: float | None = None,
    samples: int = 4,
    rotation: float = 10.0,
    scale: float = 0.1,
    position: tuple[int, int] | None = None,
    universal: bool = False,
    objective: Objective | str = "margin",
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Paint a square sticker on each image that misleads the model, even where it sits askew.

    Args:
        model: maps (n, c, h, w) in [0, 1] to scores (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        share: of the image's area that the square covers, above 0, at most 1; its side is
            rounded to pixels and no longer than the shorter side of the image.
        steps: steps of the search; one more forward pass scores the last patch.
        step_size: change of a patch pixel in a step, input units. None: steps begin with a quarter
            of the range (more where steps are few) and shrink to nothing.
        samples: views whose gradients are summed in a step. The first is the patch as it is
            returned, the others are turned and scaled at random: expectation over transformation.
        rotation: largest turn of such a view, degrees to either side.
        scale: largest change of its side, as a fraction; 0.1 is from 90 to 110 %.
        position: (row, column) of the square's upper left pixel, for all images. None: a random
            place for each.
        universal: one patch for all images of the call instead of one for each. An image's
            result then depends on its batch; without a position the random views try new places,
            and no image leaves the search early. Objective "hinge" suits it.
        objective: what an untargeted attack climbs: "margin", "cross-entropy", "hinge", or a
            function (logits, labels) -> (n,).
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of places, first colours and views; torch's global one when None.
        search: what may be saved; None: full budget in float32.

    Returns:
        (n, c, h, w) in [0, 1]; differs from inputs under an upright square only. For each row, of
        the steps + 1 patches, the one that ranks highest by (fooled, objective); with `universal`,
        the one that ranks highest by (share of images fooled, mean objective).

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.

    Example:
        >>> import torch
        >>> x, y = torch.full((1, 1, 2, 2), 0.5), torch.tensor([0])
        >>> patch(torch.nn.Flatten(), x, y, share=0.25, position=(0, 0)).flatten()
        tensor([0.0000, 0.5000, 0.5000, 0.5000])

    Source: Brown et al. 2017, arXiv:1712.09665, section 2. Departures: by default a patch is made
    for one image at one place, where theirs is universal; it is a square; steps follow the sign
    of the gradient; the best patch is returned, not the last.
    """
    check_call(
        "patch",
        inputs,
        labels,
        targets,
        eps=None,
        norm=None,
        norms=(),
        steps=steps,
        step_size=step_size,
    )
    check_views(samples, rotation, scale)
    side = patch_side(inputs, share)
    check_position(inputs, side, position)
    clean, wanders = inputs.detach(), universal and position is None
    place = Place.of(
        clean, side, position, generator, rotation=rotation, scale=scale, wanders=wanders
    )
    first = uniform(clean.new_empty((len(clean), clean.shape[1], side, side)), generator)
    walk = Walk(
        model,
        place,
        Mislead(model, named_objective(objective), labels, targets),
        search or Search(retire=False),
        steps,
        step_size or shrinking(_MIDDLE, steps),
        samples,
        generator,
    )
    return walk.one_for_all(first[:1]) if universal else walk.one_each(first)


SPEC = AttackSpec(
    patch,
    kind="other",
    norms=(),
    source="Brown et al. 2017, arXiv:1712.09665",
    random=True,
    keeps="success",
)
