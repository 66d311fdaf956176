"""RBF-SVMs, one against the rest, as a layer: fitted by scikit-learn, scored by torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from epsball.defences.base.checks import plain
from epsball.defences.base.fitted import WideModule
from epsball.defences.base.images import read_labels
from epsball.defences.svm.buffers import BUFFERS, buffers_of
from epsball.defences.svm.fitting import fit_machines
from epsball.defences.svm.kernels import exponents, main_directions
from epsball.defences.svm.settings import Gamma, SvmSettings
from epsball.errors import InvalidInput

# of a copy that searches: directions it keeps, and support vectors they are found from; with 30,000
# support vectors of 12,544 numbers a gradient of DNR takes 3.0 ms instead of 31 (docs/results)
_DIRECTIONS, _SAMPLE = 512, 1024
_LEAST_GAIN = 3  # times fewer multiplications, or the directions are not used, for their error


class RbfSvm(WideModule):
    """Support vector machines with the kernel exp(-gamma |x - x_i|^2), one for each class.

    Fitted machines are buffers: no parameter is ever trained, the gradient goes through to the
    features, and `state_dict` holds everything. They keep float32 when the module is asked to
    become bfloat16 or float16, where |x - x_i|^2 would be noise.

    Args:
        gamma: of the kernel; "scale": 1 / (d * variance), scikit-learn's rule.
        c: the penalty of an image inside its margin, C in the literature.
        standardise: give every feature mean 0 and variance 1 first; a feature that does not vary
            in the fit is then left out, now and later (`left_out_` counts them).
        search: values to try for gamma, c or both: `{"gamma": (0.001, 0.01), "c": (0.1, 1)}`; the
            first point of the best cross-validated accuracy is taken, `searched_` shows all.
        folds: of the cross-validation under Platt's sigmoids and the search.
        tolerance: of the solver's stopping rule, as scikit-learn's `tol`.
        solver: "libsvm" computes the kernel once, for all machines and folds: 8 n^2 bytes.
            "intelex": scikit-learn-intelex, slower, needs little memory. "auto": libsvm where the
            matrix fits into memory.

    Learned by `fit`:
        support (m, d), coefficients (m, k), intercept (k,), slope (k,), offset (k,), shift (d,) and
        weight (d,): buffers; the support vectors are the union of all machines', scaled.
        gamma_, c_: those that were taken. searched_: [{gamma, c, accuracy}].
        out_of_fold_: (n, k), float32, log-odds of the images of the fit, each by machines that
        had not seen it; in_sample_: by the machines themselves. Not saved.

    Source: Cortes and Vapnik 1995; Platt 1999 for probabilities. Departures from scikit-learn's
        SVC: one against the rest, as the source of Neural Rejection has it; sigmoids are fitted on
        stratified folds that are the same for the same labels.

    Example:
        >>> features = torch.tensor([[0.0], [0.1], [0.2], [1.0], [1.1], [1.2]])
        >>> labels = torch.tensor([0, 0, 0, 1, 1, 1])
        >>> svm = RbfSvm(gamma=1.0, c=10.0, folds=3).fit(features, labels)
        >>> svm.decision(torch.tensor([[0.0], [1.2]])).argmax(1)
        tensor([0, 1])
    """

    shift: Tensor | None
    weight: Tensor | None
    support: Tensor | None
    norms: Tensor | None
    coefficients: Tensor | None
    intercept: Tensor | None
    slope: Tensor | None
    offset: Tensor | None
    directions: Tensor | None
    gamma_: float
    c_: float
    searched_: list[dict[str, float]]
    out_of_fold_: Tensor
    in_sample_: Tensor

    def __init__(
        self,
        *,
        gamma: Gamma = 0.01,
        c: float = 0.1,
        standardise: bool = False,
        search: Mapping[str, Sequence[Gamma]] | None = None,
        folds: int = 5,
        tolerance: float = 1e-3,
        solver: str = "auto",
    ) -> None:
        super().__init__()
        self.settings = SvmSettings(
            plain(gamma), plain(c), standardise, plain(search), folds, tolerance, solver
        )
        for name in BUFFERS:
            self.register_buffer(name, None)
        self.register_buffer("directions", None, persistent=False)  # of a copy that searches

    def fit(self, features: Tensor, labels: Tensor, *, name: str = "RbfSvm") -> "RbfSvm":
        """Fit machines and sigmoids; what was learned before is forgotten.

        Args:
            features: (n, d), float, finite; fitted on the CPU, wherever they are.
            labels: (n,), integers; every class from 0 to the largest, each `folds` times or more.
            name: what the features are, for messages.

        Returns:
            Itself, its buffers where the features are, in their dtype or, where that is a half one,
            in float32.

        Raises:
            InvalidInput: features or labels cannot be learned from.
        """
        self.directions, place = None, features.device
        rows = features.detach().cpu()
        if rows.is_floating_point():  # distances in half precision would be no distances
            rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        classes = read_labels(labels, len(rows))
        learned = fit_machines(rows, classes, self.settings, name)
        self.gamma_, self.c_, self.searched_ = learned.gamma, learned.c, learned.searched
        self.out_of_fold_ = learned.out_of_fold.float().to(place)
        self.in_sample_ = learned.in_sample.float().to(place)
        for buffer, value in buffers_of(rows, learned).items():
            setattr(self, buffer, value.to(place, rows.dtype))
        return self

    def decision(self, features: Tensor) -> Tensor:
        """Return the value of every machine, f(x) = sum_i alpha_i y_i k(x, x_i) + b.

        Args:
            features: (n, d), float.

        Returns:
            (n, k), float32 (float64 if the machines are); above 0: the machine accepts the class.

        Raises:
            NotFitted: there are no machines yet.
            InvalidInput: another number of features than in the fit.
        """
        shift, weight, support, norms, coefficients, intercept = self._ready(features)
        with torch.autocast(features.device.type, enabled=False):
            rows = (features.to(norms.dtype) - shift) * weight  # (n, d)
            # gamma is in the weight
            away = exponents(rows, support, norms, self.directions)
            return torch.addmm(intercept, away.exp(), coefficients)

    def log_odds(self, features: Tensor) -> Tensor:
        """Return Platt's log(p / (1 - p)) = -(A f + B) of every class, (n, k).

        Its sigmoid is the probability; the k of them need not add up to 1.

        Raises:
            NotFitted: there are no machines yet.
            InvalidInput: another number of features than in the fit.
        """
        values = self.decision(features)
        assert self.slope is not None and self.offset is not None  # noqa: S101, PT018 - fitted
        return -(self.slope * values + self.offset)

    def forward(self, features: Tensor) -> Tensor:
        """Return `log_odds`."""
        return self.log_odds(features)

    def search_cheaply(self, *, half: bool) -> None:
        """Make this a copy that only searches, and is not to be saved; a fit makes it whole again.

        Where many support vectors have many features, distances are taken along the main directions
        of the support vectors; see `exponents` for the error of that.

        Args:
            half: round the support vectors to bfloat16 as well.

        Raises:
            NotFitted: there are no machines yet.
        """
        if self.support is None or self.norms is None:
            raise self.not_fitted()
        many, wide = self.support.shape
        if many * wide > _LEAST_GAIN * _DIRECTIONS * (many + wide):
            self.directions = main_directions(self.support, _DIRECTIONS, _SAMPLE)
            self.support = self.support @ self.directions
        if half:
            exact, self.support = self.support, self.support.bfloat16()
            rounded = self.support.to(self.norms.dtype)
            self.norms = self.norms - exact.square().sum(1) + rounded.square().sum(1)

    @property
    def support_counts_(self) -> list[int]:
        """Return how many support vectors each of the k machines has."""
        if self.coefficients is None:
            raise self.not_fitted()
        counts: list[int] = (self.coefficients != 0).sum(0).tolist()
        return counts

    @property
    def support_count_(self) -> int:
        """Return m, how many support vectors all machines have together."""
        if self.support is None:
            raise self.not_fitted()
        return len(self.support)

    @property
    def left_out_(self) -> int:
        """Return how many features never varied and are left out."""
        if self.weight is None:
            raise self.not_fitted()
        return int((self.weight == 0).sum())

    def facts(self) -> dict[str, Any]:
        """Return what was learned and is no buffer, as plain data."""
        return {
            "gamma": self.gamma_,
            "c": self.c_,
            "searched": self.searched_,
            "support_vectors": self.support_count_,
            "support_vectors_each": self.support_counts_,
        }

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Take back what `facts` gave; the buffers are set one by one."""
        self.gamma_, self.c_ = float(facts["gamma"]), float(facts["c"])
        self.searched_ = list(facts["searched"])

    def extra_repr(self) -> str:
        """Show the settings, and the number of support vectors once it is known."""
        known = "" if self.support is None else f", support vectors={self.support_count_}"
        return f"gamma={self.settings.gamma}, c={self.settings.c}{known}"

    def _ready(self, features: Tensor) -> tuple[Tensor, ...]:
        buffers = tuple(self._buffers[name] for name in BUFFERS[:6])
        if self.support is None:
            raise self.not_fitted()
        assert buffers[0] is not None  # noqa: S101 - fitted
        wide = len(buffers[0])
        if features.dim() != 2 or features.shape[1] != wide:
            raise InvalidInput(
                f"RbfSvm: features must be (n, {wide}) as in the fit, got {tuple(features.shape)}"
            )
        return tuple(one for one in buffers if one is not None)
