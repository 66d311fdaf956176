"""Deep Neural Rejection: RBF-SVMs on several layers, and one more on their outputs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from epsball.defences.base.checks import plain
from epsball.defences.base.features import Features
from epsball.defences.base.images import ImageSet, Marks, read_labels
from epsball.defences.base.last_layers import last_layers
from epsball.defences.base.model import where
from epsball.defences.base.rejector import Rejector
from epsball.defences.svm.layer import RbfSvm
from epsball.defences.svm.settings import Gamma
from epsball.errors import InvalidInput, unknown_name
from epsball.tensors import Images

Combiner: TypeAlias = Literal["out-of-fold", "in-sample"]
COMBINERS = ("out-of-fold", "in-sample")
_LAYERS = 3  # of the source


class DeepNeuralRejection(Rejector):
    """Classify by an SVM on the probabilities that SVMs on several layers give; reject the rest.

    Each layer's SVM gives k probabilities (Platt's, not normalised); joined, they are what the
    combiner, one more SVM, is fitted on. Only the combiner has the reject class.

    Args:
        model: a module in eval mode, (n, c, h, w) in [0, 1] to scores (n, k); never changed.
        layers: whose activations the SVMs see, by name (`epsball.defences.layers_of` lists them);
            None: the last three hidden ones (`layers_` once fitted).
        combiner: what the combiner is fitted on: "out-of-fold", probabilities by machines that had
            not seen the image (the folds of Platt's sigmoids serve, nothing is fitted twice), or
            "in-sample", as the source has it, which trusts the layers too much.
        threshold: theta, the probability below which an image is rejected, in (0, 1); 0.9 where
            neither this nor false_rejection is given.
        false_rejection: instead of the threshold: the share of clean images to be rejected.
        gamma: of the layers' kernels; a number, "scale", or one of these for each layer.
        c: the layers' penalty; one, or one for each layer.
        combiner_gamma: of the combiner's kernel.
        combiner_c: the combiner's penalty.
        standardise: give every feature of a layer mean 0 and variance 1 first.
        search: grid for gamma and c of every layer and of the combiner; see `RbfSvm`.
        tolerance: of the solver's stopping rule.
        solver: "auto", "libsvm" or "intelex"; see `RbfSvm`.
        batch_size: images a forward pass while fitting.

    Learned by `fit`: `layers_`, `svms_` (an `RbfSvm` a layer), `combiner_` (an `RbfSvm`),
    `threshold_`, `info`.

    Source: Sotgiu et al. 2020, Deep neural rejection against adversarial examples, EURASIP Journal
        on Information Security; numbers as Thanthulage has them: theta 0.9, gamma 0.01 and C 0.1
        for all four machines, layers 5, 7 and 8 of `base-cnn`. The authors' own tutorial gives the
        combiner gamma 1 and C 0.1. Departure: the 2020 paper splits the images between the layers
        and the combiner; out-of-fold probabilities let both learn from all of them.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> images = torch.rand((40, 1, 2, 2), generator=generator)
        >>> labels = (images[:, 0, 0, 0] > 0.5).long()
        >>> parts = (nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 2))
        >>> net = nn.Sequential(*parts).eval()
        >>> rejector = DeepNeuralRejection(net, gamma="scale", c=10.0).fit(images, labels)
        >>> rejector.layers_, rejector(images).shape
        (('2', '3'), torch.Size([40, 3]))
    """

    name = "dnr"
    gives = "log-odds"
    reads_scores = False

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: Sequence[str] | None = None,
        combiner: Combiner = "out-of-fold",
        threshold: float | None = None,
        false_rejection: float | None = None,
        gamma: Gamma | Sequence[Gamma] = 0.01,
        c: float | Sequence[float] = 0.1,
        combiner_gamma: Gamma = 0.01,
        combiner_c: float = 0.1,
        standardise: bool = False,
        search: Mapping[str, Sequence[Gamma]] | None = None,
        tolerance: float = 1e-3,
        solver: str = "auto",
        batch_size: int = 256,
    ) -> None:
        super().__init__(
            model, threshold=threshold, false_rejection=false_rejection, batch_size=batch_size
        )
        if combiner not in COMBINERS:
            raise unknown_name("combiner", combiner, COMBINERS)
        if isinstance(layers, str):
            raise InvalidInput(
                f"dnr: layers must be a list of names, got {layers!r}; put it in one"
            )
        self.layers = None if layers is None else tuple(layers)
        self.combiner: Combiner = combiner
        self.gamma, self.c = plain(gamma), plain(c)
        self.standardise, self.search = standardise, search
        self.combiner_gamma, self.combiner_c = combiner_gamma, combiner_c
        self.tolerance, self.solver = tolerance, solver
        if self.layers is not None:
            Features(model, self.layers)  # refuses a layer that does not exist
        self.layers_ = self.layers or ()
        # made before they are fitted so that settings are refused at once
        each = [len(one) for one in (self.gamma, self.c) if isinstance(one, list)]
        count = len(self.layers_) or max(each, default=1)
        self.svms_ = nn.ModuleList(self._unfitted(count)).eval()
        self.combiner_ = self._machine(combiner_gamma, combiner_c, standardise=False)

    def _learn(self, images: ImageSet, labels: Tensor, classes: int) -> None:  # noqa: ARG002 - theirs
        example = images.example()
        layers = self.layers or last_layers(self.model, example, _LAYERS)
        features = Features(self.model, layers).collect(images)
        svms, outputs = self._unfitted(len(layers)), []
        for name, svm in zip(layers, svms, strict=True):
            svm.fit(features.pop(name), labels, name=f"layer {name!r}").to(example.device)
            outputs.append(svm.out_of_fold_ if self.combiner == "out-of-fold" else svm.in_sample_)
        self.layers_, self.svms_ = layers, nn.ModuleList(svms).eval()
        self._combine(outputs, labels, example.device)

    def refit_combiner(self, labels: Marks, combiner: Combiner) -> "DeepNeuralRejection":
        """Fit the combiner again, the layers' machines staying as they are.

        Args:
            labels: (n,), those of the fit, in its order, without the images it kept apart for a
                threshold.
            combiner: "out-of-fold" or "in-sample".

        Returns:
            Itself; the threshold stays the same number.

        Raises:
            NotFitted: nothing was learned yet.
            InvalidInput: unknown combiner, labels of other images, or machines that were loaded:
                their outputs for the images of the fit are not saved.
        """
        self._check_fitted()
        if combiner not in COMBINERS:
            raise unknown_name("combiner", combiner, COMBINERS)
        attribute = "out_of_fold_" if combiner == "out-of-fold" else "in_sample_"
        stored = [vars(svm).get(attribute) for svm in self.svms_]
        if any(one is None for one in stored):
            raise InvalidInput(
                "dnr: the outputs of the layers' machines for the images of the fit are lost with "
                "the process that fitted them; fit again, with combiner="
                f"{combiner!r}"
            )
        outputs = [one for one in stored if one is not None]
        self._combine(outputs, read_labels(labels, len(outputs[0])), where(self.model).device)
        self.combiner = combiner
        return self

    def _combine(self, outputs: Sequence[Tensor], labels: Tensor, place: torch.device) -> None:
        joined = torch.cat(list(outputs), dim=1).sigmoid()
        top = self._machine(self.combiner_gamma, self.combiner_c, standardise=False)
        top.fit(joined, labels, name="outputs of the layers")
        self.combiner_ = top.to(place)

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        columns = self.combiner_.log_odds(self.probabilities(inputs))
        return columns, columns.amax(1)

    def probabilities(self, inputs: Images) -> Tensor:
        """Return the k probabilities of each layer's SVM, joined, (n, layers * k).

        Raises:
            NotFitted: nothing was learned yet.
        """
        read = Features(self.model, self.layers_)(inputs)
        outputs = [svm(read[name]) for name, svm in zip(self.layers_, self.svms_, strict=True)]
        return torch.cat(outputs, dim=1).sigmoid()

    def _facts(self) -> dict[str, Any]:
        return {
            "layers": list(self.layers_),
            "svms": [svm.facts() for svm in self.svms_ if isinstance(svm, RbfSvm)],
            "combiner": self.combiner_.facts(),
        }

    def _restore(self, facts: Mapping[str, Any]) -> None:
        self.layers_ = tuple(facts["layers"])
        svms = self._unfitted(len(self.layers_))
        for svm, svm_facts in zip(svms, facts["svms"], strict=True):
            svm.restore(svm_facts)
        self.svms_ = nn.ModuleList(svms).eval()
        self.combiner_.restore(facts["combiner"])

    def _unfitted(self, count: int) -> list[RbfSvm]:
        gammas, penalties = _each("gamma", self.gamma, count), _each("c", self.c, count)
        return [
            self._machine(gamma, c, standardise=self.standardise)
            for gamma, c in zip(gammas, penalties, strict=True)
        ]

    def _machine(self, gamma: Gamma, c: float, *, standardise: bool) -> RbfSvm:
        return RbfSvm(
            gamma=gamma,
            c=c,
            standardise=standardise,
            search=self.search,
            tolerance=self.tolerance,
            solver=self.solver,
        )


def _each(name: str, value: Any, count: int) -> list[Any]:  # noqa: ANN401 - one or several
    """Return one value a layer."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * count
    if len(value) != count:
        raise InvalidInput(
            f"dnr: {name} must be one value, or one for each of {count} layers, got {len(value)}"
        )
    return list(value)
