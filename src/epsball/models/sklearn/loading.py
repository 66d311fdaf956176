"""Models of scikit-learn from files of skops: nothing is unpickled, no code of the file runs."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from epsball.errors import InvalidInput
from epsball.models.loading.messages import one_line
from epsball.models.loading.request import Built, Request, optional
from epsball.models.sklearn.wrapper import wrap_estimator

# types inside fitted estimators that skops does not trust of itself; they hold arrays and no code
TRUSTED = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._ball_tree.BallTree",
    *(
        f"sklearn.metrics._dist_metrics.{metric}Distance{bits}"
        for metric in ("Euclidean", "Manhattan", "Chebyshev", "Minkowski", "SEuclidean")
        for bits in ("", "32", "64")
    ),
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
)


def from_sklearn(request: Request) -> Built:
    """Load a classifier or pipeline of scikit-learn that was saved by `skops.io.dump`.

    Raises:
        InvalidInput: no such file, another kind of file, types that are not trusted, or an
            estimator that is no classifier with classes 0 to k - 1.
    """
    file = Path(request.name)
    if not file.is_file():
        raise InvalidInput(f"{request.spec}: no such file {file}: give the path of a skops file")
    if request.weights is not None:
        raise InvalidInput(f"{request.spec} holds its parameters: leave --weights out")
    skops_io = optional("skops.io", extra="sklearn", needed_by=request.spec)
    try:
        strange = skops_io.get_untrusted_types(file=file)
    except Exception as error:  # zipfile, json and skops each have errors of their own
        raise InvalidInput(
            f"{request.spec} is no skops file ({one_line(error)}): save the estimator with "
            "skops.io.dump(estimator, FILE); pickles are never loaded"
        ) from error
    refused = sorted(set(strange) - set(TRUSTED))
    if refused:
        raise InvalidInput(
            f"{request.spec} holds types that are not trusted: {', '.join(refused)}: save the "
            "model without them, or load it in a FILE.py:factory of your own if you trust it"
        )
    return Built(wrap_estimator(_read(skops_io, file, request.spec), request.spec), file.stem)


def _read(skops_io: Any, file: Path, spec: str) -> Any:  # noqa: ANN401 - untyped packages
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # scikit-learn warns when the version is another
            return skops_io.load(file, trusted=list(TRUSTED))
    except Exception as error:  # a damaged file fails anywhere
        raise InvalidInput(
            f"{spec} cannot be loaded ({one_line(error)}): save it again with the installed "
            f"versions of scikit-learn and skops, numpy {np.__version__}"
        ) from error
