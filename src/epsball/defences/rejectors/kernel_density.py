"""Kernel density: how many images of the predicted class lie near, as a layer sees them."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from epsball.defences.base.checks import check_above_zero, check_count
from epsball.defences.base.images import ImageSet
from epsball.defences.base.kept_tensors import KeptTensors
from epsball.defences.base.model import where
from epsball.defences.base.one_layer import check_layer, learn_from, scores_and_features
from epsball.defences.base.rejector import Rejector
from epsball.defences.svm.kernels import exponents, squared_distances
from epsball.errors import InvalidInput
from epsball.tensors import Images, Values

Bandwidth: TypeAlias = float | Literal["median"]
_SUBSAMPLE = 2000  # images whose distances set the bandwidth


class KernelDensity(Rejector):
    """Reject where few images of the predicted class are near, in a layer's activations.

    The score is the log of a Gaussian kernel density estimate of the class that the model predicts,
    log mean_i exp(-|f - f_i|^2 / (2 h^2)) over that class's kept images, but for a constant:
    the kernel's normaliser, the same for all images, is left out.

    Args:
        model: a module in eval mode, (n, c, h, w) in [0, 1] to scores (n, k); never changed.
        layer: whose activations are compared, by name; None: the last hidden one (`layer_`).
        bandwidth: h, above 0, in units of the features; "median": the median distance between two
            kept images of the same class, of 2,000 images at most (`bandwidth_`).
        limit: images of each class that are kept, drawn at random where there are more.
        seed: of what is drawn.
        threshold: the score below which an image is rejected.
        false_rejection: instead of the threshold: the share of clean images to be rejected; 0.05
            where neither is given.
        batch_size: images a forward pass while fitting.

    Learned by `fit`: `layer_`, `bandwidth_`, `image_counts_` (images of each class).

    Source: Feinman et al. 2017, arXiv:1703.00410, section 4.1. Departures: the logarithm, and the
        median for the bandwidth, which they tune by data set.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> images = torch.rand((40, 1, 2, 2), generator=generator)
        >>> labels = (images[:, 0, 0, 0] > 0.5).long()
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
        >>> rejector = KernelDensity(net).fit(images, labels)
        >>> rejector.layer_, rejector(images).shape
        ('2', torch.Size([40, 3]))
    """

    name = "density"
    gives = "logits"
    layer_: str
    bandwidth_: float

    def __init__(
        self,
        model: nn.Module,
        *,
        layer: str | None = None,
        bandwidth: Bandwidth = "median",
        limit: int = 1000,
        seed: int = 0,
        threshold: float | None = None,
        false_rejection: float | None = None,
        batch_size: int = 256,
    ) -> None:
        super().__init__(
            model, threshold=threshold, false_rejection=false_rejection, batch_size=batch_size
        )
        if bandwidth != "median":
            check_above_zero(self.name, "bandwidth", bandwidth, "median")
        check_count(self.name, "limit", limit)
        check_count(self.name, "seed", seed, 0)
        check_layer(model, layer)
        self.layer, self.bandwidth, self.limit, self.seed = layer, bandwidth, limit, seed
        # points (m, d) are the kept features, centred and divided by sqrt(2) h; norms (m,) are
        # their squared lengths, owners (m,) their classes, shift (d,) the mean
        self.kept = KeptTensors("shift", "weight", "points", "norms", "owners")

    def log_density(self, inputs: Images) -> Values:
        """Return the log-density of images, whatever their class; for the attack `rejection`.

        It is that of the kept images of all classes together, up to a constant, and does not jump
        where the predicted class changes: `rejection(..., density=rejector.log_density)`. The score
        that this rejector itself compares, of the predicted class alone, is `acceptance`.

        Args:
            inputs: (n, c, h, w) in [0, 1].

        Returns:
            (n,), differentiable.

        Raises:
            NotFitted: nothing was learned yet.
        """
        self._check_fitted()
        _, exponents = self._exponents(inputs)
        return _log_mean(exponents, torch.ones_like(exponents, dtype=torch.bool))

    @property
    def image_counts_(self) -> list[int]:
        """Return how many images of each class were kept."""
        self._check_fitted()
        counts: list[int] = self.kept.owners.long().bincount().tolist()
        return counts

    def _learn(self, images: ImageSet, labels: Tensor, classes: int) -> None:
        self.layer_, features = learn_from(self.model, self.layer, images, labels)
        generator = torch.Generator().manual_seed(self.seed)
        chosen_rows = [
            _draw((labels == one).nonzero()[:, 0], self.limit, generator) for one in range(classes)
        ]
        rows, owners = features[torch.cat(chosen_rows)].double(), labels[torch.cat(chosen_rows)]
        # centred, so that |x|^2 + |y|^2 - 2 xy does not cancel
        shift = rows.mean(0)
        rows -= shift
        self.bandwidth_ = self._width(rows, owners, generator)
        weight = torch.tensor(0.5**0.5 / self.bandwidth_, dtype=torch.float64)
        points = (rows * weight).to(features.dtype)  # of rounded points: the norms that cancel
        self.kept.keep(
            where(self.model),
            shift=shift,
            weight=weight,
            points=points,
            owners=owners,
            norms=points.double().square().sum(1),
        )

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        logits, exponents = self._exponents(inputs)
        return logits, _log_mean(exponents, logits.argmax(1)[:, None] == self.kept.owners)

    def _exponents(self, inputs: Images) -> tuple[Tensor, Tensor]:
        """Return the model's scores (n, k), and -|f - f_i|^2 / (2 h^2) for kept points (n, m)."""
        fitted = self.kept
        logits, features = scores_and_features(self.model, self.layer_, inputs, fitted.points)
        with torch.autocast(features.device.type, enabled=False):
            rows = (features - fitted.shift) * fitted.weight  # (n, d)
            return logits, exponents(rows, fitted.points, fitted.norms)

    def _width(self, rows: Tensor, owners: Tensor, generator: torch.Generator) -> float:
        if self.bandwidth != "median":
            return float(self.bandwidth)
        some = _draw(torch.arange(len(rows)), _SUBSAMPLE, generator)
        pairs = (owners[some, None] == owners[some]).triu(1)
        distances = squared_distances(rows[some])[pairs]
        width = float(distances.median().sqrt()) if len(distances) else 0.0
        if not width > 0:
            raise InvalidInput(
                f"{self.name}: the median distance between two images of a class in layer "
                f"{self.layer_!r} is 0, or no class has two: give bandwidth a number, more "
                "images, or another layer"
            )
        return width

    def _facts(self) -> dict[str, Any]:
        return {"layer": self.layer_, "bandwidth": self.bandwidth_, "kept": self.image_counts_}

    def _restore(self, facts: Mapping[str, Any]) -> None:
        self.layer_, self.bandwidth_ = str(facts["layer"]), float(facts["bandwidth"])


def _draw(rows: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """Return rows (m,), or `limit` of them in their order."""
    if len(rows) <= limit:
        return rows
    return rows[torch.randperm(len(rows), generator=generator)[:limit].sort().values]


def _log_mean(exponents: Tensor, mask: Tensor) -> Tensor:
    """Return the log of the mean of exp(exponents) (n, m) over those of the mask (n, m)."""
    return exponents.masked_fill(~mask, -torch.inf).logsumexp(1) - mask.sum(1).log()
