"""Whether a model still gives the scores it gave, where its hash cannot see all that decides them.

A model may read files, call native code, or look up what no hash can follow. So a run and a
fitted defence keep scores of a few fixed images beside the hash, and compare them when used again.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_IMAGES = 4
_COLUMNS = 8
_APART = 1e-3  # of the largest score: float32 sums in another order differ by some 1e-6


def sample_scores(
    scores: Callable[[Tensor], Tensor], shape: Sequence[int], images: Tensor | None = None
) -> tuple[tuple[float, ...], ...]:
    """Score a few images of noise that are the same every time, and a few of the data.

    Args:
        scores: the model, images (n, c, h, w), float32 on the CPU, to scores (n, k).
        shape: (c, h, w) of an image.
        images: (m, c, h, w), of the data; None: noise alone.

    Returns:
        For each image its scores, 8 columns spread over all where there are more, and their mean;
        empty where a score is not finite.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(_IMAGES, *shape, generator=generator, dtype=torch.float32)
    shown = noise if images is None else torch.cat([noise, images])
    rows = torch.cat([scores(image[None]) for image in shown]).double().cpu()
    if not bool(rows.isfinite().all()):
        return ()
    columns = torch.linspace(0, rows.shape[1] - 1, min(_COLUMNS, rows.shape[1])).long()
    features: Tensor = torch.cat([rows[:, columns], rows.mean(1, keepdim=True)], 1)
    return tuple(tuple(float(f"{value:.7g}") for value in row) for row in features.tolist())


def differ(before: Sequence[Sequence[float]], now: Sequence[Sequence[float]]) -> bool:
    """Say whether two samples of scores are those of different models."""
    if not before or not now:
        return False
    one, other = torch.tensor(before), torch.tensor(now)
    if one.shape != other.shape:
        return True
    return bool((one - other).abs().max() > _APART * one.abs().max().clamp_min(1e-12))
