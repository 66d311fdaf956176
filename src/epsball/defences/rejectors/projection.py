"""Projection: how far an image is from the plane that most images lie near."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from epsball.defences.base.images import ImageSet
from epsball.defences.base.kept_tensors import KeptTensors
from epsball.defences.base.model import base_scores, where
from epsball.defences.base.rejector import Rejector
from epsball.errors import InvalidInput
from epsball.tensors import Classifier, Images

_WIDEST = 12_288  # 3 x 64 x 64: a covariance of 1.2 GB


class Projection(Rejector):
    """Reject images that leave the leading principal components of the images of the fit.

    The score is minus the L2 distance, in input units, between an image and its reconstruction
    from those components. The model is not used.

    Args:
        model: gives scores (n, k), in eval mode.
        variance: share of the images' variance that the components hold, in (0, 1); as few are
            taken as hold it (`components_`).
        threshold: the score below which an image is rejected.
        false_rejection: instead of the threshold: the share of clean images to be rejected; 0.05
            where neither is given.
        batch_size: images a forward pass while fitting.

    Learned by `fit`: `components_`, how many there are.

    Source: the idea that adversarial images stand out in the last principal components is of
        Hendrycks and Gimpel 2017, arXiv:1608.00530; the projection is the one that Bhagoji et al.
        2017, arXiv:1704.02654, defend by. Departure from both: the distance is the score.

    Example:
        >>> model = torch.nn.Flatten().eval()
        >>> images = torch.tensor([[[[0.1, 0.1]]], [[[0.9, 0.9]]], [[[0.5, 0.5]]]])
        >>> rejector = Projection(model, threshold=-0.1).fit(images, torch.tensor([0, 1, 0]))
        >>> rejector(torch.tensor([[[[0.7, 0.6]]], [[[1.0, 0.0]]]])).argmax(1)
        tensor([0, 2])
    """

    name = "projection"
    gives = "logits"

    def __init__(
        self,
        model: Classifier,
        *,
        variance: float = 0.95,
        threshold: float | None = None,
        false_rejection: float | None = None,
        batch_size: int = 256,
    ) -> None:
        super().__init__(
            model, threshold=threshold, false_rejection=false_rejection, batch_size=batch_size
        )
        if not isinstance(variance, int | float) or not 0 < variance < 1:
            raise InvalidInput(f"{self.name}: variance must be in (0, 1), got {variance!r}")
        self.variance = variance
        self.kept = KeptTensors("mean", "directions")  # (p,) and (p, r) for p pixels

    @property
    def components_(self) -> int:
        """Return how many components images are projected on."""
        self._check_fitted()
        return int(self.kept.directions.shape[1])

    def _learn(self, images: ImageSet, labels: Tensor, classes: int) -> None:  # noqa: ARG002 - theirs
        wide = images.example().numel()
        if wide > _WIDEST:
            raise InvalidInput(
                f"{self.name}: images must have at most {_WIDEST:,} numbers, whose covariances "
                f"take 1.2 GB, got {wide:,}; use smaller images, or a rejector on a layer"
            )
        mean, covariance = _moments(images, wide)
        values, vectors = (part.flip(-1) for part in torch.linalg.eigh(covariance))
        if not float(covariance.diagonal().amax()) > 0:
            raise InvalidInput(
                f"{self.name}: images must differ, got {len(images)} that are the same"
            )
        share = values.clamp_min(0).cumsum(0) / values.clamp_min(0).sum()
        count = int((share < self.variance).sum()) + 1
        self.kept.keep(where(self.model), mean=mean, directions=vectors[:, :count])

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        mean, directions = self.kept.mean, self.kept.directions
        pixels = inputs.flatten(1)
        if pixels.shape[1] != len(mean):
            raise InvalidInput(
                f"{self.name}: images must have {len(mean)} numbers as in the fit, got "
                f"{tuple(inputs.shape)}"
            )
        with torch.autocast(inputs.device.type, enabled=False):
            rows = pixels.to(torch.promote_types(pixels.dtype, mean.dtype)) - mean
            left = rows - (rows @ directions) @ directions.T
            # its gradient is 0, not NaN, where nothing is left
            distances = torch.linalg.vector_norm(left, dim=1)
        return base_scores(self.model, inputs), -distances

    def _facts(self) -> dict[str, Any]:
        return {"components": self.components_}

    def _restore(self, facts: Mapping[str, Any]) -> None:
        """Take nothing back: all that was learned is tensors."""


def _moments(images: ImageSet, wide: int) -> tuple[Tensor, Tensor]:
    """Return mean (p,) and covariance (p, p) of images, float64, on the CPU, batch by batch."""
    total = torch.zeros(wide, dtype=torch.float64)
    for batch in images:
        total += batch.flatten(1).cpu().double().sum(0)
    mean = total / len(images)
    products = torch.zeros((wide, wide), dtype=torch.float64)
    for batch in images:
        rows = batch.flatten(1).cpu().double() - mean
        products.addmm_(rows.T, rows)
    return mean, products / len(images)
