"""Training sets, schedules and remedies of study `class-imbalance`, as plain data. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Plain
from epsball.studies.core.data_summary import DataSummary

Settings = Mapping[str, Plain]


@dataclass(frozen=True)
class Network:
    """What the study trains on images of one shape.

    Args:
        model: "base-cnn" or "vgg-cifar".
        eps: radius of the attacks on ordinarily trained networks, linf.
        hardened_eps: radius for adversarial training, and for the attacks on what it gives.
        epochs: of the fast schedule, on all training images.
        images_per_second: forward and backward passes on one core, for the estimate of costs.
    """

    model: str
    eps: float
    hardened_eps: float
    epochs: int
    images_per_second: float


NETWORKS: Mapping[tuple[int, int, int], Network] = {
    (1, 28, 28): Network("base-cnn", 0.1, 0.2, 6, 2500),
    (3, 32, 32): Network("vgg-cifar", 0.01, 8 / 255, 16, 600),
}

FAST: Settings = {
    "optimizer": "adam", "lr": 1e-3, "schedule": "one-cycle", "batch_size": 128, "validation": 0.0,
}  # fmt: skip
SOURCE: Settings = {
    "optimizer": "rmsprop", "lr": 1e-4, "decay": 1e-5, "epochs": 200, "patience": 10,
    "min_delta": 1e-4, "batch_size": 128, "validation": 0.0,
}  # fmt: skip
SCHEDULES: Mapping[str, Settings] = {"fast": FAST, "source": SOURCE}
VALIDATIONS = ("removed", "split", "test")  # on what the source schedule stops early
HELD_OUT = 0.1  # share of the training images, where validation is a split


@dataclass(frozen=True)
class Remedy:
    """One way to train in spite of a rare class.

    Args:
        words: for tables.
        settings: of `TrainSettings`.
        hardened: whether training is adversarial.
    """

    words: str
    settings: Settings = field(default_factory=dict)
    hardened: bool = False


REMEDIES: Mapping[str, Remedy] = {
    "none": Remedy("none"),
    "class-weights": Remedy("class weights in the loss", {"class_weights": "balanced"}),
    "balanced-sampling": Remedy("balanced sampling", {"sampling": "balanced"}),
    "logit-adjustment": Remedy("logit adjustment", {"logit_adjustment": 1.0}),
    # the root of the shares is left after square-root sampling: half of the adjustment
    "hybrid": Remedy(
        "square-root sampling and logit adjustment",
        {"sampling": "square-root", "logit_adjustment": 0.5},
    ),
    "smote": Remedy("SMOTE", {"resample": "smote"}),
    "adversarial": Remedy("adversarial training", hardened=True),
    "adversarial-weights": Remedy(
        "adversarial training, class weights", {"class_weights": "balanced"}, hardened=True
    ),
}


def network_for(data: DataSummary) -> Network:
    """Return the network for images of this shape.

    Raises:
        InvalidInput: the study has none, or training and test images are the same.
    """
    if data.shape not in NETWORKS:
        raise InvalidInput(
            f"study class-imbalance has networks for images of (1, 28, 28) and (3, 32, 32), got "
            f"{data.shape}; read a folder of grey images as folder:PATH@28, of colour images as "
            "folder:PATH@32"
        )
    train, _, test = data.content.partition("-")
    if train == test:
        raise InvalidInput(
            "study class-imbalance trains on some images and attacks others, and these training "
            "and test images are the same; divide the folder into PATH/train and PATH/test"
        )
    return NETWORKS[data.shape]
