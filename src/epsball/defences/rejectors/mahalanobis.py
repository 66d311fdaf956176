"""Mahalanobis: the distance to the nearest class, in units of how classes spread."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from epsball.defences.base.checks import is_number
from epsball.defences.base.images import ImageSet
from epsball.defences.base.kept_tensors import KeptTensors
from epsball.defences.base.model import where
from epsball.defences.base.one_layer import check_layer, learn_from, scores_and_features
from epsball.defences.base.rejector import Rejector
from epsball.errors import InvalidInput
from epsball.tensors import Images

Shrinkage: TypeAlias = float | Literal["ledoit-wolf"]
_FLAT = 1e-10  # of the largest variance: below, float32 features are mostly rounding


class Mahalanobis(Rejector):
    """Reject far from the mean of every class, in a layer's activations, by their covariance.

    The score is minus the smallest squared Mahalanobis distance to a class's mean.

    Args:
        model: a module in eval mode, (n, c, h, w) in [0, 1] to scores (n, k); never changed.
        layer: whose activations are compared, by name; None: the last hidden one (`layer_`). Its
            d features take 8 d^2 bytes.
        shrinkage: of the one covariance that all classes share, in [0, 1], towards a multiple of
            the identity; "ledoit-wolf": estimated (`shrinkage_`). Directions with less than 1e-10
            of the largest variance are left out, as they are with a pseudo-inverse.
        threshold: the score below which an image is rejected.
        false_rejection: instead of the threshold: the share of clean images to be rejected; 0.05
            where neither is given.
        batch_size: images a forward pass while fitting.

    Learned by `fit`: `layer_`, `shrinkage_`, `directions_` (how many are not left out).

    Source: Lee et al. 2018, arXiv:1807.03888, section 2.1 (shrinkage=0), of one layer, without
        their noise on the input and their regression over layers; Ledoit and Wolf 2004.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> images = torch.rand((40, 1, 2, 2), generator=generator)
        >>> labels = (images[:, 0, 0, 0] > 0.5).long()
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
        >>> rejector = Mahalanobis(net).fit(images, labels)
        >>> rejector.layer_, rejector(images).shape
        ('2', torch.Size([40, 3]))
    """

    name = "mahalanobis"
    gives = "logits"
    layer_: str
    shrinkage_: float

    def __init__(
        self,
        model: nn.Module,
        *,
        layer: str | None = None,
        shrinkage: Shrinkage = "ledoit-wolf",
        threshold: float | None = None,
        false_rejection: float | None = None,
        batch_size: int = 256,
    ) -> None:
        super().__init__(
            model, threshold=threshold, false_rejection=false_rejection, batch_size=batch_size
        )
        _check_shrinkage(shrinkage)
        check_layer(model, layer)
        self.layer, self.shrinkage = layer, shrinkage
        # shift (d,) is the mean of all, whitening (d, r) takes distances to Mahalanobis', means
        # (k, r) are the classes', shifted and whitened
        self.kept = KeptTensors("shift", "whitening", "means")

    @property
    def directions_(self) -> int:
        """Return how many directions of the features vary within classes."""
        self._check_fitted()
        return int(self.kept.whitening.shape[1])

    def _learn(self, images: ImageSet, labels: Tensor, classes: int) -> None:
        self.layer_, read = learn_from(self.model, self.layer, images, labels)
        features = read.double()
        means = torch.stack([features[labels == one].mean(0) for one in range(classes)])
        covariance, self.shrinkage_ = _covariance(features - means[labels], self.shrinkage)
        values, vectors = torch.linalg.eigh(covariance)
        varies = values > values.amax() * _FLAT
        if not bool(varies.any()):
            raise InvalidInput(
                f"{self.name}: layer {self.layer_!r} is constant on all images of a class, so "
                "there is no covariance; choose another layer, or give more images"
            )
        whitening = vectors[:, varies] / values[varies].sqrt()
        shift = features.mean(0)
        self.kept.keep(
            where(self.model), shift=shift, whitening=whitening, means=(means - shift) @ whitening
        )

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        fitted = self.kept
        logits, features = scores_and_features(self.model, self.layer_, inputs, fitted.shift)
        with torch.autocast(features.device.type, enabled=False):
            rows = (features - fitted.shift) @ fitted.whitening  # (n, r)
            distances = (rows[:, None] - fitted.means).square().sum(2)  # (n, k)
        return logits, -distances.amin(1)

    def _facts(self) -> dict[str, Any]:
        return {"layer": self.layer_, "shrinkage": self.shrinkage_, "directions": self.directions_}

    def _restore(self, facts: Mapping[str, Any]) -> None:
        self.layer_, self.shrinkage_ = str(facts["layer"]), float(facts["shrinkage"])


def _covariance(rows: Tensor, shrinkage: Shrinkage) -> tuple[Tensor, float]:
    """Return the covariance (d, d) of rows (n, d) of mean 0, and how much it was shrunk."""
    from sklearn.covariance import LedoitWolf, ShrunkCovariance

    if shrinkage == "ledoit-wolf":
        estimator = LedoitWolf(store_precision=False, assume_centered=True).fit(rows.numpy())
    else:
        estimator = ShrunkCovariance(
            store_precision=False, assume_centered=True, shrinkage=float(shrinkage)
        ).fit(rows.numpy())
    amount = estimator.shrinkage_ if shrinkage == "ledoit-wolf" else shrinkage
    return torch.from_numpy(estimator.covariance_), float(amount)


def _check_shrinkage(value: object) -> None:
    if value != "ledoit-wolf" and not (is_number(value) and 0 <= value <= 1):
        raise InvalidInput(
            f"mahalanobis: shrinkage must be a number in [0, 1] or 'ledoit-wolf', got {value!r}"
        )
