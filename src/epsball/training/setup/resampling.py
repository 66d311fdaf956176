"""Which images a pass draws, and synthetic ones for rare classes: remedies on the data's side."""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.training.setup.settings import ResampleName, SamplingName

_POWERS = {"natural": 0.0, "square-root": 0.5, "balanced": 1.0}
_METHODS = {"smote": "SMOTE", "borderline-smote": "BorderlineSMOTE", "adasyn": "ADASYN"}
_NEIGHBOURS = 5  # imbalanced-learn's default


def draw_rows(
    labels: NDArray[np.int64], sampling: SamplingName, generator: torch.Generator
) -> NDArray[np.int64]:
    """Draw the images of one pass.

    Args:
        labels: (n,), int64, of all training images.
        sampling: "natural", each once; else with replacement, an image of a class of m images with
            weight 1 / sqrt(m) ("square-root") or 1 / m ("balanced").
        generator: on the CPU.

    Returns:
        (n,), rows of labels, in the order in which they come.

    Source: the powers are those of Mahajan et al. 2018, arXiv:1805.00932, section 2.2.
    """
    if sampling == "natural":
        return torch.randperm(len(labels), generator=generator).numpy()
    sizes = np.bincount(labels)[labels]
    weights = torch.from_numpy(sizes ** -_POWERS[sampling])
    rows = torch.multinomial(weights, len(labels), replacement=True, generator=generator)
    return rows.numpy()


def synthetic_images(
    images: Tensor, labels: Tensor, method: ResampleName, seed: int
) -> tuple[Tensor, Tensor]:
    """Mix images of rare classes until every class is as large as the largest.

    Mixtures of two images of a class, pixel by pixel, are blurred where the images are not aligned:
    apt for digits, less so for photographs.

    Args:
        images: (n, c, h, w), float32, in [0, 1].
        labels: (n,), int64.
        method: "smote", "borderline-smote" or "adasyn".
        seed: of the draws.

    Returns:
        The synthetic images alone, (m, c, h, w), float32, in [0, 1], and their labels (m,).

    Raises:
        InvalidInput: imbalanced-learn is not installed, or a class is too small to have neighbours.

    Source: imbalanced-learn; Chawla et al. 2002, arXiv:1106.1813 (SMOTE), Han et al. 2005
        (borderline), He et al. 2008 (ADASYN).
    """
    try:
        from imblearn import over_sampling
    except ImportError:
        raise InvalidInput(
            f"train: resample={method!r} needs imbalanced-learn, which is not installed: "
            "pip install epsball[imbalance]"
        ) from None
    counts = torch.bincount(labels)
    fewest = int(counts[counts > 0].min())
    if fewest <= _NEIGHBOURS:
        raise InvalidInput(
            f"train: resample={method!r} mixes an image with {_NEIGHBOURS} of its class, and "
            f"the smallest class has {fewest} images; it needs {_NEIGHBOURS + 1} or more, or take "
            "sampling='balanced'"
        )
    sampler = getattr(over_sampling, _METHODS[method])(random_state=seed)
    flat = images.flatten(1).numpy()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            mixed, classes = sampler.fit_resample(flat, labels.numpy())
    except (ValueError, RuntimeError) as error:
        line = str(error).splitlines()[0]
        raise InvalidInput(
            f"train: resample={method!r} cannot resample these images ({line}); take "
            "resample='smote' or sampling='balanced'"
        ) from None
    added = torch.from_numpy(np.ascontiguousarray(mixed[len(flat) :], dtype=np.float32))
    return added.clamp_(0, 1).view(-1, *images.shape[1:]), torch.from_numpy(classes[len(flat) :])
