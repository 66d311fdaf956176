"""Dirichlet-process mixture: as many Gaussians as the features ask for, and how likely they are."""

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from epsball.defences.base.checks import check_above_zero, check_count
from epsball.defences.base.images import ImageSet
from epsball.defences.base.kept_tensors import KeptTensors
from epsball.defences.base.model import where
from epsball.defences.base.one_layer import check_layer, learn_from, scores_and_features
from epsball.defences.base.rejector import Rejector
from epsball.tensors import Images

if TYPE_CHECKING:
    from sklearn.mixture import BayesianGaussianMixture


class DirichletMixture(Rejector):
    """Reject where a Dirichlet-process mixture of Gaussians, fitted to a layer, is unlikely.

    The score is the mixture's log-likelihood, of activations that are first reduced to their
    leading principal components: what leaves their plane is not seen.

    Args:
        model: a module in eval mode, (n, c, h, w) in [0, 1] to scores (n, k); never changed.
        layer: whose activations are used, by name; None: the last hidden one (`layer_`).
        dimensions: principal components the activations are reduced to; fewer where there are
            fewer features or images.
        components: Gaussians at most; the process leaves those empty that are not needed.
        concentration: of the process, above 0: the larger, the more Gaussians; None: 1 /
            components, scikit-learn's rule.
        steps: of the variational fit, at most (`converged_`: whether they were enough).
        seed: of where the fit begins.
        threshold: the score below which an image is rejected.
        false_rejection: instead of the threshold: the share of clean images to be rejected; 0.05
            where neither is given.
        batch_size: images a forward pass while fitting.

    Learned by `fit`: `layer_`, `effective_components_` (Gaussians that are the likeliest of at
        least one image of the fit), `converged_`.

    Source: Blei and Jordan 2006 (variational inference for Dirichlet-process mixtures); that a
        non-parametric model may estimate what is natural is an idea of Billovits et al. Fitted by
        scikit-learn's BayesianGaussianMixture, whose score_samples this is: expectations under the
        variational posterior, not the predictive density. One mixture for all classes.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> images = torch.rand((40, 1, 2, 2), generator=generator)
        >>> labels = (images[:, 0, 0, 0] > 0.5).long()
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
        >>> rejector = DirichletMixture(net, components=5).fit(images, labels)
        >>> rejector.layer_, rejector(images).shape
        ('2', torch.Size([40, 3]))
    """

    name = "mixture"
    gives = "logits"
    layer_: str
    effective_components_: int
    converged_: bool

    def __init__(
        self,
        model: nn.Module,
        *,
        layer: str | None = None,
        dimensions: int = 20,
        components: int = 30,
        concentration: float | None = None,
        steps: int = 300,
        seed: int = 0,
        threshold: float | None = None,
        false_rejection: float | None = None,
        batch_size: int = 256,
    ) -> None:
        super().__init__(
            model, threshold=threshold, false_rejection=false_rejection, batch_size=batch_size
        )
        for setting, value in (("dimensions", dimensions), ("components", components)):
            check_count(self.name, setting, value)
        check_count(self.name, "steps", steps)
        check_count(self.name, "seed", seed, 0)
        if concentration is not None:
            check_above_zero(self.name, "concentration", concentration)
        check_layer(model, layer)
        self.layer, self.dimensions, self.components = layer, dimensions, components
        self.concentration, self.steps, self.seed = concentration, steps, seed
        # shift (d,) and reduction (d, r); means (m, r), roots (m, r, r) of the precisions, and
        # heights (m,): what the logarithm of each weighted Gaussian is at its mean
        self.kept = KeptTensors("shift", "reduction", "means", "roots", "heights")

    def _learn(self, images: ImageSet, labels: Tensor, classes: int) -> None:  # noqa: ARG002 - theirs
        self.layer_, read = learn_from(self.model, self.layer, images, labels)
        features = read.double()
        shift = features.mean(0)
        reduction = _reduction(features - shift, self.dimensions)
        rows = ((features - shift) @ reduction).numpy()
        mixture = self._unfitted(len(rows))
        with warnings.catch_warnings():
            # scikit-learn's ConvergenceWarning: `converged_` says it
            warnings.simplefilter("ignore")
            names = mixture.fit_predict(rows)
        self.effective_components_ = len(set(names.tolist()))
        self.converged_ = bool(mixture.converged_)
        self.kept.keep(
            where(self.model),
            shift=shift,
            reduction=reduction,
            means=torch.from_numpy(mixture.means_),
            roots=torch.from_numpy(mixture.precisions_cholesky_),
            heights=_heights(mixture),
        )

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        fitted = self.kept
        logits, features = scores_and_features(self.model, self.layer_, inputs, fitted.shift)
        with torch.autocast(features.device.type, enabled=False):
            rows = (features - fitted.shift) @ fitted.reduction  # (n, r)
            far = (rows - fitted.means[:, None]) @ fitted.roots  # (m, n, r)
            return logits, (fitted.heights[:, None] - far.square().sum(2) / 2).logsumexp(0)

    def _unfitted(self, count: int) -> "BayesianGaussianMixture":
        from sklearn.mixture import BayesianGaussianMixture

        return BayesianGaussianMixture(
            n_components=min(self.components, count),
            weight_concentration_prior_type="dirichlet_process",
            weight_concentration_prior=self.concentration,
            max_iter=self.steps,
            random_state=self.seed,
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "layer": self.layer_,
            "effective_components": self.effective_components_,
            "converged": self.converged_,
        }

    def _restore(self, facts: Mapping[str, Any]) -> None:
        self.layer_ = str(facts["layer"])
        self.effective_components_ = int(facts["effective_components"])
        self.converged_ = bool(facts["converged"])


def _reduction(rows: Tensor, dimensions: int) -> Tensor:
    """Return principal directions (d, r) of centred rows (n, d), the first of variance 1."""
    from sklearn.decomposition import PCA

    # one image fewer: the mean took one
    count = max(1, min(dimensions, rows.shape[1], len(rows) - 1))
    pca = PCA(n_components=count, svd_solver="full").fit(rows.numpy())
    # in units of the largest spread: scikit-learn adds 1e-6 to every variance
    directions: Tensor = torch.from_numpy(pca.components_.T)
    return directions / math.sqrt(pca.explained_variance_[0])


def _heights(mixture: "BayesianGaussianMixture") -> Tensor:
    """Return, (m,), what scikit-learn's weighted log-probability of each Gaussian is at its mean.

    The expectations of log weight (stick breaking, Blei and Jordan 2006) and of log precision
    (Bishop 2006, 10.65) under the variational posterior.
    """
    wide = mixture.means_.shape[1]
    ahead, behind = (torch.from_numpy(part) for part in mixture.weight_concentration_)
    whole = torch.digamma(ahead + behind)
    left = (torch.digamma(behind) - whole).cumsum(0)
    weights = torch.digamma(ahead) - whole + torch.cat([left.new_zeros(1), left[:-1]])
    freedom = torch.from_numpy(mixture.degrees_of_freedom_)
    spread = torch.from_numpy(mixture.mean_precision_)
    roots = torch.from_numpy(mixture.precisions_cholesky_)
    determinants = roots.diagonal(dim1=1, dim2=2).log().sum(1) - wide / 2 * freedom.log()
    halves = (freedom[:, None] - torch.arange(wide)) / 2
    expected = wide * math.log(2) + torch.digamma(halves).sum(1) - wide / spread
    heights: Tensor = weights + determinants + expected / 2 - wide / 2 * math.log(2 * math.pi)
    return heights
