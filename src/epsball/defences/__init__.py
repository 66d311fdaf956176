"""Fitted defences: rejectors around a classifier, and the table of them.

The names are loaded when they are first asked for, so that importing epsball costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epsball.defences.deep_neural_rejection import DeepNeuralRejection as DeepNeuralRejection
    from epsball.defences.energy import Energy as Energy
    from epsball.defences.features import Features as Features
    from epsball.defences.features import Layer as Layer
    from epsball.defences.features import layers_of as layers_of
    from epsball.defences.kernel_density import KernelDensity as KernelDensity
    from epsball.defences.mahalanobis import Mahalanobis as Mahalanobis
    from epsball.defences.max_softmax import MaxSoftmax as MaxSoftmax
    from epsball.defences.mixture import DirichletMixture as DirichletMixture
    from epsball.defences.neural_rejection import NeuralRejection as NeuralRejection
    from epsball.defences.projection import Projection as Projection
    from epsball.defences.rbf_svm import RbfSvm as RbfSvm
    from epsball.defences.rejector import Rejector as Rejector
    from epsball.defences.saving import load as load
    from epsball.defences.table import REJECTORS as REJECTORS
    from epsball.defences.table import RejectorSpec as RejectorSpec
    from epsball.defences.table import rejector_named as rejector_named

_HOME = {
    "DeepNeuralRejection": "deep_neural_rejection",
    "DirichletMixture": "mixture",
    "Energy": "energy",
    "Features": "features",
    "KernelDensity": "kernel_density",
    "Layer": "features",
    "Mahalanobis": "mahalanobis",
    "MaxSoftmax": "max_softmax",
    "NeuralRejection": "neural_rejection",
    "Projection": "projection",
    "REJECTORS": "table",
    "RbfSvm": "rbf_svm",
    "Rejector": "rejector",
    "RejectorSpec": "table",
    "layers_of": "features",
    "load": "saving",
    "rejector_named": "table",
}

__all__ = [
    "DeepNeuralRejection",
    "DirichletMixture",
    "Energy",
    "Features",
    "KernelDensity",
    "Layer",
    "Mahalanobis",
    "MaxSoftmax",
    "NeuralRejection",
    "Projection",
    "REJECTORS",
    "RbfSvm",
    "Rejector",
    "RejectorSpec",
    "layers_of",
    "load",
    "rejector_named",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the names have as many types
    """Load a public name from its file."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
