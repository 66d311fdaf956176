"""Many random samples around every image, in pieces that fit the memory."""

from collections.abc import Iterator

from torch import Tensor

from epsball.attacks.core.asking import read
from epsball.randomness import ImageStreams, Randomness
from epsball.tensors import Classifier

# numbers of one image's samples that are drawn at once: set by the shape alone, because what a
# image is given must not depend on how many others are in its batch
_DRAWN = 2**13
# numbers a forward pass, where the caller's own batch is smaller than that
_ASKED = 2**20


def streams_of(generator: Randomness, chosen: Tensor) -> Randomness:
    """Return the randomness of some rows; a torch generator simply goes on."""
    return generator.rows(chosen) if isinstance(generator, ImageStreams) else generator


def pieces(samples: int, like: Tensor) -> Iterator[slice]:
    """Yield slices that cover a number of samples an image.

    Args:
        samples: how many.
        like: (n, c, h, w), the images.
    """
    size = max(1, _DRAWN // like.shape[1:].numel())
    for first in range(0, samples, size):
        yield slice(first, min(first + size, samples))


def repeated(images: Tensor, samples: int) -> Tensor:
    """View images (n, c, h, w) as (n, samples, c, h, w), without copying them."""
    return images[:, None].expand(-1, samples, *images.shape[1:])


def read_samples(model: Classifier, points: Tensor, rows: Tensor, at_once: int) -> Tensor:
    """Return the scores of several points a row.

    Args:
        model: the classifier.
        points: (m, s, c, h, w).
        rows: (m,), which rows of the attack's batch they belong to.
        at_once: images a forward pass; see `pass_size`.

    Returns:
        (m * s, k), the scores, row after row.
    """
    samples = points.shape[1]
    return read(model, points.flatten(0, 1), rows.repeat_interleave(samples), at_once)


def pass_size(inputs: Tensor) -> int:
    """Return how many images a forward pass may hold: as many as came, or a few megabytes."""
    return max(len(inputs), _ASKED // inputs.shape[1:].numel(), 1)
