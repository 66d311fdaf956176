"""What is compared: methods, and models with their images."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from epsball.types import Norm

Kind: TypeAlias = Literal["budget", "minimal", "floor"]
SMALL = (16, 32, 64, 128, 256, 512)  # batches tried for small images
LARGE = (1, 2, 4, 8, 16, 32)
ON_GPU = (32, 128, 512, 2048, 8192)
MORE = 4  # times as many images, to see whether memory grows with them


@dataclass(frozen=True)
class Method:
    """One method, as every library runs it.

    Args:
        kind: "budget": robust accuracy within eps; "minimal": distance to the nearest image
            found; "floor": seconds only.
        norm: geometry.
        steps: gradient evaluations an image, or what the method counts; 0 where it has no choice.
        about: the settings that all share, in words; {steps} stands for the steps taken.
        images: at most so many; None: as many as the case has.
        sized_as: methods whose best batch is taken, the first that an entrant has; none: its own.
        rival: the peer that ours is held against; None: the fastest, or the nearest.
        light: steps of the short runs that look for the best batch.
    """

    kind: Kind
    norm: Norm
    steps: int
    about: str
    images: int | None = None
    sized_as: tuple[str, ...] = ()
    rival: str | None = None
    light: int = 2


METHODS = {
    "floor": Method(
        "floor",
        "linf",
        40,
        "every step on every image in float32, against as many bare forward and backward passes",
    ),
    "pgd": Method(
        "budget",
        "linf",
        40,
        "{steps} steps of 2.5 eps / {steps} on the cross-entropy from one random start",
    ),
    "apgd": Method(
        "budget", "linf", 100, "{steps} steps on the cross-entropy from one random start", light=4
    ),
    "strongest": Method(
        "budget",
        "linf",
        0,
        "the ensemble of epsball against AutoAttack's standard one",
        images=200,
        sized_as=("apgd", "pgd"),
        rival="autoattack",
    ),
    "fmn-linf": Method("minimal", "linf", 100, "{steps} steps, each library's own step rule"),
    "fmn-l2": Method(
        "minimal",
        "l2",
        100,
        "{steps} steps, each library's own step rule; foolbox's projection never shortens a "
        "perturbation (findings/foolbox_l2_fmn_distance.sh)",
    ),
    "ddn": Method("minimal", "l2", 100, "{steps} steps, gamma 0.05, first radius 1, not quantised"),
    "deepfool-linf": Method("minimal", "linf", 50, "at most {steps} steps, overshoot 0.02"),
    "deepfool-l2": Method("minimal", "l2", 50, "at most {steps} steps, overshoot 0.02"),
    "cw": Method(
        "minimal",
        "l2",
        100,
        "5 binary searches of {steps} steps, learning rate 0.01, constant 1 at first; "
        "torchattacks, which has no search, takes all steps at once",
        light=10,  # adv-lib divides by a tenth of them
    ),
}
_ALL = tuple(METHODS)


@dataclass(frozen=True)
class Case:
    """One model on one set of images.

    Args:
        model: name in epsball's zoo.
        data: name of the data set.
        eps: radius in linf, as a person writes it.
        about: the model, in words.
        weights: file name in the directory of weights; None: the published ones.
        training: what `epsball train` is asked for beside model, data and directory.
        images: how many images.
        batches: sizes that are tried.
        methods: what is compared.
        targets: most that ours may take of the rival's time, by method.
    """

    model: str
    data: str
    eps: str
    about: str
    weights: str | None = None
    training: tuple[str, ...] = ()
    images: int = 500
    batches: tuple[int, ...] = SMALL
    methods: tuple[str, ...] = _ALL
    targets: dict[str, float] = field(default_factory=dict)


def _targets(pgd: float) -> dict[str, float]:
    nearest = {name: 1.0 for name, method in METHODS.items() if method.kind == "minimal"}
    return {"floor": 1.05, "pgd": pgd, "strongest": 1 / 5, **nearest}


_PLAIN, _TRAINED = "trained without defence", "trained on PGD's examples"
_FEW = ("floor", "pgd", "apgd", "fmn-linf", "fmn-l2", "ddn", "deepfool-l2")

CASES = {
    "mnist": Case(
        "base-cnn",
        "mnist",
        "0.1",
        _PLAIN,
        weights="base-cnn-mnist.safetensors",
        targets=_targets(1 / 4),
    ),
    "mnist-pgd": Case(
        "base-cnn",
        "mnist",
        "0.3",
        _TRAINED,
        weights="base-cnn-mnist-pgd.safetensors",
        training=("--recipe", "pgd", "--eps", "0.3"),
        targets=_targets(1 / 2.5),
    ),
    "cifar10": Case(
        "vgg-cifar",
        "cifar10",
        "1/255",
        _PLAIN,
        weights="vgg-cifar.safetensors",
        targets=_targets(1 / 5),
    ),
    "cifar10-pgd": Case(
        "vgg-cifar",
        "cifar10",
        "8/255",
        _TRAINED,
        weights="vgg-cifar-pgd.safetensors",
        training=("--recipe", "pgd", "--eps", "8/255"),
        targets=_targets(1 / 3),
    ),
    "imagenet-1": Case(
        "squeezenet",
        "imagenet-sample",
        "1/255",
        "published weights",
        images=32,
        batches=LARGE,
        methods=_FEW,
    ),
    "imagenet-4": Case(
        "squeezenet",
        "imagenet-sample",
        "4/255",
        "published weights",
        images=32,
        batches=LARGE,
        methods=("pgd", "apgd"),
    ),
}
