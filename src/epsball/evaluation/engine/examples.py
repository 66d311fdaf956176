"""Images with labels, positions, and the model's predictions."""

from dataclasses import dataclass

from torch import Tensor

from epsball.objectives import is_adversarial, margin
from epsball.rejecting import probabilities
from epsball.types import ModelInfo

_TOP = 5


@dataclass(frozen=True)
class Reading:
    """Predictions of each image, read off its scores.

    Args:
        prediction: (n,), the first column; k where a model rejects.
        confidence: (n,), the probability of that column, in [0, 1]: a softmax over all columns, or,
            of a model that gives log-odds, the sigmoid of that column, threshold included.
        top5: (n, min(5, k)), classes, most likely first.
        margin: (n,), score of the label minus the best other class: positive means right.
        rejected: (n,), bool.
        acceptance: (n,), by how much the best class lies above the reject score: rejected below
            zero; None of a model that does not reject.
        safe: (n,), bool; the label, or rejected. A score that is not finite is not safe.
        least_likely: (n,), the class of the lowest score.
    """

    prediction: Tensor
    confidence: Tensor
    top5: Tensor
    margin: Tensor
    rejected: Tensor
    acceptance: Tensor | None
    safe: Tensor
    least_likely: Tensor

    def rows(self, chosen: Tensor | slice) -> "Reading":
        """Return the reading of some images."""
        accepted = None if self.acceptance is None else self.acceptance[chosen]
        return Reading(
            self.prediction[chosen],
            self.confidence[chosen],
            self.top5[chosen],
            self.margin[chosen],
            self.rejected[chosen],
            accepted,
            self.safe[chosen],
            self.least_likely[chosen],
        )


@dataclass(frozen=True)
class Examples:
    """Clean images of a data set.

    Args:
        images: (n, c, h, w), float32 in [0, 1].
        labels: (n,), int64, the true classes.
        positions: (n,), int64, positions in the data set; they key the random streams.
        clean: what the model says of the images; None: it was not called yet.
    """

    images: Tensor
    labels: Tensor
    positions: Tensor
    clean: Reading | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def rows(self, chosen: Tensor | slice) -> "Examples":
        """Return some of them."""
        clean = None if self.clean is None else self.clean.rows(chosen)
        return Examples(self.images[chosen], self.labels[chosen], self.positions[chosen], clean)

    @property
    def reading(self) -> Reading:
        """Return what the model says of the clean images.

        Raises:
            ValueError: it was not called yet.
        """
        if self.clean is None:
            raise ValueError("the clean scores of these examples were not read")
        return self.clean

    @property
    def not_yet_adversarial(self) -> Tensor:
        """Return (n,) bool: images that an attack has still to fool, right or rejected."""
        reading = self.reading
        return (reading.prediction == self.labels) | reading.rejected


def read_scores(scores: Tensor, labels: Tensor, info: ModelInfo) -> Reading:
    """Read predictions, confidence and margin off scores.

    Args:
        scores: (n, k), or (n, k + 1) of a model that rejects.
        labels: (n,), the true classes.
        info: says what the scores are.
    """
    classes = scores[:, : info.classes]
    prediction = scores.argmax(1)
    finite = scores.isfinite().all(1)
    return Reading(
        prediction=prediction,
        confidence=probabilities(scores.double(), info.gives).gather(1, prediction[:, None])[:, 0],
        top5=classes.topk(min(_TOP, info.classes), dim=1).indices,
        margin=-margin(classes, labels).double(),
        rejected=prediction >= info.classes,
        acceptance=(classes.amax(1) - scores[:, -1]).double() if info.rejects else None,
        least_likely=classes.argmin(1),
        safe=~is_adversarial(scores, labels, classes=info.classes) & finite,
    )
