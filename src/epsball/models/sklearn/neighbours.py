"""A differentiable stand-in for k nearest neighbours: a softmin over distances."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from epsball.models.sklearn.features import linear_steps
from epsball.types import ModelInfo


class SoftNeighbours(nn.Module):
    """Scores each class by the logarithm of its share in a softmin over all training images.

    Args:
        before: the steps of the pipeline.
        rows: (m, d), the training images behind these steps.
        labels: (m,).
        temperature: squared distance by which a neighbour's weight falls by a factor e.
    """

    rows: Tensor
    members: Tensor

    def __init__(self, before: nn.Module, rows: Tensor, labels: Tensor, temperature: float) -> None:
        super().__init__()
        self.before, self.temperature = before, temperature
        # float64: behind a scaler distances are large, and their differences decide
        self.register_buffer("rows", rows.double())
        self.register_buffer("norms", rows.double().square().sum(1))
        order = labels.argsort(stable=True)
        self.register_buffer("order", order)
        self.counts = torch.bincount(labels).tolist()
        self.info = ModelInfo(len(self.counts), gives="log-probabilities")
        self.eval()

    @classmethod
    def of(cls, last: Any, steps: list[Any]) -> "SoftNeighbours | None":  # noqa: ANN401 - untyped package
        """Build the stand-in of a fitted `KNeighborsClassifier`; None for another estimator.

        The temperature is the median squared distance from a training image to its k-th neighbour,
        divided by 4.

        Source: Papernot et al. 2016, arXiv:1605.07277, section 3: a softmin over the distances to
        all training points. Departure: the paper gives no temperature.
        """
        if type(last).__name__ != "KNeighborsClassifier" or last.effective_metric_ != "euclidean":
            return None
        features = steps[0].n_features_in_ if steps else last.n_features_in_
        before = linear_steps(steps, features)
        if before is None:
            return None
        rows = np.asarray(last._fit_X, dtype=np.float64)
        some = rows[:: max(1, len(rows) // 200)]
        far = last.kneighbors(some, n_neighbors=min(last.n_neighbors + 1, len(rows)))[0][:, -1]
        temperature = float(np.median(far) ** 2 / 4) or 1.0
        labels = torch.from_numpy(np.asarray(last._y).ravel().astype(np.int64))
        return cls(before, torch.from_numpy(rows), labels, temperature)

    def forward(self, images: Tensor) -> Tensor:
        """Return log-probabilities, (n, k)."""
        here = self.before(images.flatten(1).double())
        apart = here.square().sum(1)[:, None] + self.norms - 2 * here @ self.rows.T
        weights = (-apart / self.temperature)[:, self.order]
        parts = torch.split(weights, self.counts, dim=1)
        scores: Tensor = torch.stack([part.logsumexp(1) for part in parts], 1)
        return scores.log_softmax(1).to(images)
