"""Neural Rejection: an RBF-SVM on one layer of a network, and a score below which it rejects."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from epsball.defences.base.features import Features
from epsball.defences.base.images import ImageSet
from epsball.defences.base.last_layers import last_layers
from epsball.defences.base.rejector import Rejector
from epsball.defences.svm.layer import RbfSvm
from epsball.defences.svm.settings import Gamma
from epsball.tensors import Images


class NeuralRejection(Rejector):
    """Classify by an RBF-SVM on a layer's activations; reject where no class is probable enough.

    Args:
        model: a module in eval mode, (n, c, h, w) in [0, 1] to scores (n, k); never changed.
        layer: whose activations the SVM sees, by name (`epsball.defences.layers_of` lists them);
            None: the last hidden one (`layer_` once fitted).
        threshold: theta, the probability below which an image is rejected, in (0, 1); 0.9 where
            neither this nor false_rejection is given.
        false_rejection: instead of the threshold: the share of clean images to be rejected.
        gamma: of the kernel; "scale": scikit-learn's rule.
        c: the penalty.
        standardise: give every feature mean 0 and variance 1 first.
        search: grid for gamma and c, `{"gamma": (...), "c": (...)}`; see `RbfSvm`.
        tolerance: of the solver's stopping rule.
        solver: "auto", "libsvm" or "intelex"; see `RbfSvm`.
        batch_size: images a forward pass while fitting.

    Learned by `fit`: `layer_`, `svm_` (an `RbfSvm`), `threshold_`, `info`.

    Source: Melis et al. 2017, arXiv:1708.06939; numbers as Thanthulage has them: theta 0.9, gamma
        0.01, C 0.1, layer 8 of `base-cnn`. Columns are log-odds of Platt's probabilities, which are
        not normalised: the same decision as by probabilities with a constant column theta.

    Example:
        >>> import torch
        >>> generator = torch.Generator().manual_seed(0)
        >>> images = torch.rand((40, 1, 2, 2), generator=generator)
        >>> labels = (images[:, 0, 0, 0] > 0.5).long()
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
        >>> rejector = NeuralRejection(net, threshold=0.6, gamma=1.0, c=10.0).fit(images, labels)
        >>> rejector.layer_, rejector(images).shape
        ('2', torch.Size([40, 3]))
    """

    name = "nr"
    gives = "log-odds"
    reads_scores = False

    def __init__(
        self,
        model: nn.Module,
        *,
        layer: str | None = None,
        threshold: float | None = None,
        false_rejection: float | None = None,
        gamma: Gamma = 0.01,
        c: float = 0.1,
        standardise: bool = False,
        search: Mapping[str, Sequence[Gamma]] | None = None,
        tolerance: float = 1e-3,
        solver: str = "auto",
        batch_size: int = 256,
    ) -> None:
        super().__init__(
            model, threshold=threshold, false_rejection=false_rejection, batch_size=batch_size
        )
        self.layer, self.gamma, self.c, self.standardise = layer, gamma, c, standardise
        self.search, self.tolerance, self.solver = search, tolerance, solver
        self.svm_ = self._unfitted()
        self.layer_ = layer or ""
        if layer is not None:
            Features(model, (layer,))  # refuses a layer that does not exist

    def _learn(self, images: ImageSet, labels: Tensor, classes: int) -> None:  # noqa: ARG002 - theirs
        example = images.example()
        self.layer_ = self.layer or last_layers(self.model, example, 1)[0]
        features = Features(self.model, (self.layer_,)).collect(images)[self.layer_]
        svm = self._unfitted().fit(features, labels, name=f"layer {self.layer_!r}")
        self.svm_ = svm.to(example.device)

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        columns = self.svm_.log_odds(Features(self.model, (self.layer_,))(inputs)[self.layer_])
        return columns, columns.amax(1)

    def _facts(self) -> dict[str, Any]:
        return {"layer": self.layer_, "svm": self.svm_.facts()}

    def _restore(self, facts: Mapping[str, Any]) -> None:
        self.layer_ = str(facts["layer"])
        self.svm_.restore(facts["svm"])

    def _unfitted(self) -> RbfSvm:
        return RbfSvm(
            gamma=self.gamma,
            c=self.c,
            standardise=self.standardise,
            search=self.search,
            tolerance=self.tolerance,
            solver=self.solver,
        )
