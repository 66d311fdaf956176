"""One machine of the SVM, and its decision values: with the whole kernel in memory, or without."""

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_CACHE = 500  # MB of kernel columns libsvm keeps, a machine
_ROWS = 1024  # rows whose decision values are computed at a time


@dataclass(frozen=True)
class Machine:
    """One against the rest: f(x) = sum_i coefficients_i k(x, x_i) + intercept.

    Args:
        coefficients: (n,), alpha_i y_i, float64; 0 where a row is no support vector.
        intercept: b.
    """

    coefficients: NDArray[np.float64]
    intercept: float


class Solver(Protocol):
    """Fits machines on its rows at one gamma, and returns their decision values of these rows."""

    @property
    def workers(self) -> int:
        """Say how many machines may be fitted at a time."""
        ...

    def machine(
        self, positive: NDArray[np.bool_], used: NDArray[np.bool_], c: float, tolerance: float
    ) -> Machine:
        """Fit one machine on the rows that are `used`, both masks being (n,)."""
        ...

    def products(self, rows: NDArray[np.int64], coefficients: Tensor) -> Tensor:
        """Return sum_i coefficients_ij k(x_r, x_i) of some rows (m,) for (n, k), as (m, k)."""
        ...


@dataclass(frozen=True)
class KernelMatrix:
    """The kernel of all pairs: every machine and every fold reads the same numbers, uncopied.

    A row that a fold leaves out gets weight zero, and libsvm then drops it.

    Args:
        kernel: (n, n), float64, C-contiguous: what libsvm takes without a copy.
        workers: machines fitted at a time; libsvm leaves the interpreter free.
    """

    kernel: Tensor
    workers: int = 1

    def machine(
        self, positive: NDArray[np.bool_], used: NDArray[np.bool_], c: float, tolerance: float
    ) -> Machine:
        """Fit one machine by scikit-learn's SVC on the kernel that is there."""
        from sklearn import config_context
        from sklearn.svm import SVC

        svc = SVC(kernel="precomputed", C=c, tol=tolerance, cache_size=_CACHE)
        with config_context(assume_finite=True):  # else it reads the whole matrix once more
            svc.fit(self.kernel.numpy(), positive, sample_weight=used.astype(np.float64))
        rows = np.flatnonzero(used) if _counts_used_rows_only() else np.arange(len(positive))
        return _machine(svc, rows, len(positive))

    def products(self, rows: NDArray[np.int64], coefficients: Tensor) -> Tensor:
        """Return the kernel's rows times the coefficients."""
        return torch.cat([self.kernel[part] @ coefficients for part in _parts(rows)])


@dataclass(frozen=True)
class Intelex:
    """scikit-learn-intelex: computes what it needs of the kernel, so that memory is no limit.

    Args:
        rows: (n, d), float32 or float64, centred.
        gamma: of the kernel.
    """

    rows: Tensor
    gamma: float
    workers: int = 1  # it uses all cores itself

    def machine(
        self, positive: NDArray[np.bool_], used: NDArray[np.bool_], c: float, tolerance: float
    ) -> Machine:
        """Fit one machine by the accelerated SVC."""
        from sklearnex.svm import SVC

        chosen = np.flatnonzero(used)
        svc = SVC(kernel="rbf", gamma=self.gamma, C=c, tol=tolerance)
        svc.fit(self.rows.numpy()[chosen], positive[chosen])
        return _machine(svc, chosen, len(positive))

    def products(self, rows: NDArray[np.int64], coefficients: Tensor) -> Tensor:
        """Return kernel values times coefficients, over the rows that count."""
        counting = torch.nonzero(coefficients.abs().sum(1))[:, 0]
        support, weights = self.rows[counting], coefficients[counting]
        norms = support.double().square().sum(1)
        results = []
        for part in _parts(rows):
            some = self.rows[part]
            far = norms - 2 * (some @ support.T).double() + some.double().square().sum(1)[:, None]
            results.append(far.clamp_min_(0).mul_(-self.gamma).exp_() @ weights)
        return torch.cat(results)


def cross_validated(
    solver: Solver, labels: NDArray[np.int64], folds: NDArray[np.int64], c: float, tolerance: float
) -> Tensor:
    """Return decision values (n, k), each row's by machines that were fitted without its fold.

    Args:
        solver: holds the n rows.
        labels: (n,), every class from 0 to k - 1 in every fold.
        folds: (n,), the number of the fold each row is left out of.
        c: the penalty.
        tolerance: of the solver.
    """
    numbers, classes = range(int(folds.max()) + 1), range(int(labels.max()) + 1)
    jobs = [(labels == one, folds != fold) for fold in numbers for one in classes]
    machines = _fitted(solver, jobs, c, tolerance)
    values = torch.empty((len(labels), len(classes)), dtype=torch.float64)
    for fold in numbers:
        of_fold = machines[fold * len(classes) : (fold + 1) * len(classes)]
        rows = np.flatnonzero(folds == fold)
        values[torch.from_numpy(rows)] = decision(solver, of_fold, rows)
    return values


def fit_all(solver: Solver, labels: NDArray[np.int64], c: float, tolerance: float) -> list[Machine]:
    """Return k machines, fitted on all rows."""
    everything = np.ones(len(labels), dtype=np.bool_)
    jobs = [(labels == one, everything) for one in range(int(labels.max()) + 1)]
    return _fitted(solver, jobs, c, tolerance)


def decision(solver: Solver, machines: list[Machine], rows: NDArray[np.int64]) -> Tensor:
    """Return the decision values (m, k) of some of the solver's rows (m,), float64."""
    coefficients = np.stack([one.coefficients for one in machines], axis=1)
    values = solver.products(rows, torch.from_numpy(coefficients))
    return values + torch.tensor([one.intercept for one in machines], dtype=torch.float64)


def _fitted(
    solver: Solver,
    jobs: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    c: float,
    tolerance: float,
) -> list[Machine]:
    def run(job: tuple[NDArray[np.bool_], NDArray[np.bool_]]) -> Machine:
        positive, used = job
        return solver.machine(positive, used, c, tolerance)

    if solver.workers == 1:  # in this thread: intelex warns about others
        return [run(job) for job in jobs]
    with ThreadPoolExecutor(solver.workers) as pool:
        return list(pool.map(run, jobs))


def _parts(rows: NDArray[np.int64]) -> Iterator[Tensor]:
    for at in range(0, len(rows), _ROWS):
        yield torch.from_numpy(rows[at : at + _ROWS])


@functools.cache
def _counts_used_rows_only() -> bool:
    """Ask the installed scikit-learn which rows `support_` numbers: all, or those with a weight."""
    from sklearn.svm import SVC

    svc = SVC(kernel="precomputed")
    svc.fit(np.eye(3), [False, False, True], sample_weight=[0.0, 1.0, 1.0])
    return 0 in svc.support_  # the row without weight can be no support vector


def _machine(svc: Any, rows: NDArray[np.int64], count: int) -> Machine:  # noqa: ANN401 - theirs
    """Read a machine over `count` rows off a fitted SVC, whose row i was row rows[i] of them."""
    coefficients = np.zeros(count)
    coefficients[rows[svc.support_]] = np.asarray(svc.dual_coef_)[0]
    return Machine(coefficients, float(np.ravel(svc.intercept_)[0]))
