"""Where the kernel comes from: a matrix in memory where it fits, else scikit-learn-intelex."""

import importlib.util
import math
import os
from typing import Protocol

import torch
from torch import Tensor

from epsball.defences.svm.kernels import rbf, squared_distances
from epsball.defences.svm.settings import SvmSettings
from epsball.defences.svm.solvers import Intelex, KernelMatrix, Solver
from epsball.errors import InvalidInput

_SHARE = 0.7  # of the machine's memory that matrices may take
_INSTALL = "install scikit-learn-intelex (pip install 'epsball[intelex]')"


class KernelSource(Protocol):
    """Gives a solver for any gamma."""

    def at(self, gamma: float) -> Solver:
        """Return a solver; one that was given before may be overwritten."""
        ...


class MatrixSource:
    """Squared distances of all pairs, taken once, and a matrix that each gamma's kernel fills.

    With one gamma the kernel takes the place of the distances.

    Args:
        rows: (n, d), float, centred.
        several: whether more than one gamma will be asked for.
    """

    def __init__(self, rows: Tensor, *, several: bool) -> None:
        # distances that are kept may be as exact as the products they are made of, and no more
        dtype = rows.dtype if several else torch.float64
        self._distances = squared_distances(rows, dtype)
        self._kernel = (
            torch.empty_like(self._distances, dtype=torch.float64) if several else self._distances
        )
        self._gamma: float | None = None

    def at(self, gamma: float) -> Solver:
        """Return a solver on the one matrix there is."""
        if gamma != self._gamma:
            self._kernel.copy_(self._distances)
            rbf(self._kernel, gamma)
            self._gamma = gamma
        return KernelMatrix(self._kernel, workers=torch.get_num_threads())


class IntelexSource:
    """The rows themselves (n, d): kernel values are computed when they are needed."""

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def at(self, gamma: float) -> Solver:
        """Return a solver of this gamma."""
        return Intelex(self._rows, gamma)


def kernel_source(rows: Tensor, settings: SvmSettings, name: str) -> KernelSource:
    """Choose how machines are fitted.

    Args:
        rows: (n, d), float, scaled.
        settings: solver, and how many gammas there will be.
        name: what the rows are, for messages.

    Raises:
        InvalidInput: the matrix does not fit into memory and scikit-learn-intelex is not there, or
            the solver that was asked for is not to be had.
    """
    several = len(settings.gammas) > 1
    number = 8 + (rows.element_size() if several else 0)  # bytes a pair
    room = _SHARE * memory()
    accelerated = importlib.util.find_spec("sklearnex") is not None
    if settings.solver == "intelex" and not accelerated:
        raise InvalidInput(f"RbfSvm: solver 'intelex' is not installed; {_INSTALL}")
    fits = len(rows) ** 2 * number <= room
    if settings.solver == "intelex" or (settings.solver == "auto" and accelerated and not fits):
        return IntelexSource(rows)
    if not fits:
        raise InvalidInput(
            f"{name}: the kernel matrix of {len(rows)} images takes "
            f"{len(rows) ** 2 * number / 2**30:.0f} GB, and this machine allows "
            f"{room / 2**30:.0f}: fit on at most {math.isqrt(int(room / number))} images, or "
            f"{_INSTALL}, which needs no matrix and more time"
        )
    return MatrixSource(rows, several=several)


def memory() -> int:
    """Return the bytes of memory this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
