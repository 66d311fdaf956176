"""Several small gradient-sign steps: the basic iterative method, IGSM in the thesis."""

from epsball.attacks.core.ascent import ascend
from epsball.attacks.core.asking import all_rows, read
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.sign_family import (
    Direction,
    FamilyGoal,
    GradientForm,
    Reference,
    Scale,
    family_step,
    resolve,
)
from epsball.attacks.spec import AttackSpec
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search

NORMS: tuple[Norm, ...] = ("linf", "l2")


@validated
def bim(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    steps: int = 10,
    step_size: float | None = None,
    direction: Direction | None = None,
    reference: Reference | None = None,
    gradient: GradientForm | None = None,
    scale: Scale = "log-softmax",
    clip: bool = True,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Move every image by small gradient-sign steps that stay within eps.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k).
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2"; geometry of the ball.
        steps: gradient evaluations an image.
        step_size: length of one step, input units; 2.5 * eps / steps when None.
        direction: see `fgsm`.
        reference: see `fgsm`; the class is chosen once, at the clean image.
        gradient: see `fgsm`; "raw" moves by step_size times the gradient itself.
        scale: see `fgsm`.
        clip: keep pixels in [0, 1].
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: for reference "random"; torch's global one when None.
        search: what may be saved; None: full budget in float32.

    Returns:
        (n, c, h, w), within eps of inputs in norm; where the last step leads, as in the source.
        With a search that retires, an image that any step fools ends there.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> bim(flat, x, y, eps=0.125, steps=4).flatten()
        tensor([0.3750, 0.6250])

    Source: Kurakin, Goodfellow and Bengio 2017, arXiv:1607.02533, section 2; Possas 2017, 3.4.
    Departure: the default step is 2.5 * eps / steps, so that few steps suffice to cross the ball.
    """
    check_call(
        "bim",
        inputs,
        labels,
        targets,
        eps=eps,
        norm=norm,
        norms=NORMS,
        steps=steps,
        step_size=step_size,
    )
    choice = resolve("bim", direction, reference, targets, scale)
    length = 2.5 * eps / steps if step_size is None else step_size
    goal = FamilyGoal(model, labels, choice, targets, generator)
    if search is not None:
        goal.settle(lambda: read(model, inputs, all_rows(inputs), search.micro_batch))
    return ascend(
        model,
        inputs,
        goal=goal,
        step=family_step(
            inputs, eps=eps, norm=norm, step_size=length, gradient=gradient, clip=clip
        ),
        steps=steps,
        keep="last",
        search=search,
    )


SPEC = AttackSpec(
    bim,
    kind="budget",
    norms=("linf", "l2"),
    source="Kurakin et al. 2017, arXiv:1607.02533",
    keeps="last",
)
