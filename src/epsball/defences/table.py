"""The table of rejectors."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from epsball.defences.base.rejector import Rejector
from epsball.defences.rejectors.deep_neural_rejection import DeepNeuralRejection
from epsball.defences.rejectors.energy import Energy
from epsball.defences.rejectors.kernel_density import KernelDensity
from epsball.defences.rejectors.mahalanobis import Mahalanobis
from epsball.defences.rejectors.max_logit import MaxLogit
from epsball.defences.rejectors.max_softmax import MaxSoftmax
from epsball.defences.rejectors.mixture import DirichletMixture
from epsball.defences.rejectors.neural_rejection import NeuralRejection
from epsball.defences.rejectors.projection import Projection
from epsball.errors import unknown_name


@dataclass(frozen=True)
class RejectorSpec:
    """One way of rejecting.

    Args:
        name: as it is asked for.
        build: makes it around a model; its settings have defaults.
        source: where it comes from.
    """

    name: str
    build: Callable[..., Rejector]
    source: str

    @property
    def summary(self) -> str:
        """Return the first line of its docstring."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]

    @property
    def knobs(self) -> dict[str, Any]:
        """Return its settings and their defaults."""
        parameters = list(inspect.signature(self.build).parameters.items())[1:]
        return {name: parameter.default for name, parameter in parameters}


REJECTORS = {
    spec.name: spec
    for spec in (
        RejectorSpec("nr", NeuralRejection, "Melis et al. 2017, arXiv:1708.06939"),
        RejectorSpec("dnr", DeepNeuralRejection, "Sotgiu et al. 2020; Thanthulage"),
        RejectorSpec("msp", MaxSoftmax, "Hendrycks and Gimpel 2017, arXiv:1610.02136"),
        RejectorSpec("max-logit", MaxLogit, "Hendrycks et al. 2022, arXiv:1911.11132"),
        RejectorSpec("energy", Energy, "Liu et al. 2020, arXiv:2010.03759"),
        RejectorSpec("density", KernelDensity, "Feinman et al. 2017, arXiv:1703.00410"),
        RejectorSpec("mahalanobis", Mahalanobis, "Lee et al. 2018, arXiv:1807.03888"),
        RejectorSpec(
            "mixture", DirichletMixture, "Blei and Jordan 2006; the idea: Billovits et al."
        ),
        RejectorSpec(
            "projection",
            Projection,
            "Hendrycks and Gimpel 2017, arXiv:1608.00530; Bhagoji et al. 2017, arXiv:1704.02654",
        ),
    )
}


def rejector_named(name: str) -> RejectorSpec:
    """Return a line of the table.

    Raises:
        InvalidInput: no such name.
    """
    if name not in REJECTORS:
        raise unknown_name("rejector", name, REJECTORS)
    return REJECTORS[name]
