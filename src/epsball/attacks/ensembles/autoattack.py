"""AutoAttack's standard composition, for numbers that can be laid beside the literature's."""

from epsball.attacks.black_box.square import square
from epsball.attacks.combine.over_targets import over_targets
from epsball.attacks.core.checks import check_call, of_images
from epsball.attacks.core.sequence import AttackSequence
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.apgd import apgd
from epsball.attacks.gradient.apgd_t import apgd_t
from epsball.attacks.nearest.fab import fab
from epsball.attacks.spec import AttackSpec
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Passes, Search

NORMS: tuple[Norm, ...] = ("linf", "l2")


@validated
@of_images
def autoattack(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    steps: int = 100,
    classes: int = 9,
    queries: int = 5000,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Put every image to AutoAttack's four attacks in turn, until one of them fools it.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2".
        steps: gradient evaluations of `apgd`, and of `apgd_t` and `fab` towards each class.
        classes: how many wrong classes the targeted attacks try.
        queries: of `square`, for each image.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: see `apgd`.
        search: what may be saved; a fooled image is never attacked again.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; a fooled image, or the one nearest to it.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> flat(autoattack(flat, x, y, eps=0.125)).argmax(1)
        tensor([1])

    Source: Croce and Hein 2020, arXiv:2003.01690, section 5, "standard". Departures: those of the
    four attacks; nine targets or as many as there are, so that two classes are enough.
    """
    check_call(
        "autoattack",
        inputs,
        labels,
        targets,
        eps=eps,
        norm=norm,
        norms=NORMS,
        steps=steps,
        queries=queries,
    )
    sequence = AttackSequence(
        model, inputs, labels, eps, norm, targets, generator, search or Search()
    )
    sequence.run(apgd, steps=steps)
    sequence.run(apgd_t, steps=steps, classes=classes)
    sequence.run(over_targets(fab, count=classes) if targets is None else fab, steps=steps)
    sequence.run(square, queries=queries, rescale=False)
    return sequence.best


SPEC = AttackSpec(
    autoattack,
    kind="budget",
    norms=("linf", "l2"),
    source="Croce and Hein 2020, arXiv:2003.01690",
    random=True,
    keeps="success",
    # apgd, then apgd-t and fab towards each class, then square
    foretold=lambda given: Passes(
        (gradients := given["steps"] * (1 + 2 * given["classes"])) + given["queries"], gradients
    ),
)
