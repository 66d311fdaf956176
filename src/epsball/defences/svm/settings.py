"""Settings of an RBF-SVM, checked once before the fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from epsball.defences.base.checks import check_above_zero
from epsball.errors import InvalidInput, unknown_name

Gamma: TypeAlias = float | Literal["scale"]
Grid: TypeAlias = Mapping[str, Sequence[Gamma]]
SOLVERS = ("auto", "libsvm", "intelex")
_FEWEST = 2  # folds that leave something to learn from


@dataclass(frozen=True)
class SvmSettings:
    """Settings of `RbfSvm`, which explains them."""

    gamma: Gamma = 0.01
    c: float = 0.1
    standardise: bool = False
    search: Grid | None = None
    folds: int = 5
    tolerance: float = 1e-3
    solver: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be fitted."""
        for name, value in (("c", self.c), ("tolerance", self.tolerance)):
            _check_positive(name, value)
        _check_gamma("gamma", self.gamma)
        if not isinstance(self.standardise, bool):
            raise InvalidInput(
                f"RbfSvm: standardise must be True or False, got {self.standardise!r}"
            )
        if self.folds < _FEWEST:
            raise InvalidInput(f"RbfSvm: folds must be 2 or more, got {self.folds}")
        if self.solver not in SOLVERS:
            raise unknown_name("solver", self.solver, SOLVERS)
        _check_grid(self.search)

    @property
    def gammas(self) -> tuple[Gamma, ...]:
        """Return the values of gamma to be tried, one or several."""
        return tuple((self.search or {}).get("gamma", (self.gamma,)))

    @property
    def penalties(self) -> tuple[float, ...]:
        """Return the values of c to be tried, one or several."""
        return tuple(float(one) for one in (self.search or {}).get("c", (self.c,)))


def _check_grid(grid: Grid | None) -> None:
    if grid is not None and not isinstance(grid, Mapping):
        raise InvalidInput(
            f"RbfSvm: search must name values to try, as {{'c': (0.1, 1, 10)}}, got {grid!r}"
        )
    for name, values in (grid or {}).items():
        if name not in {"gamma", "c"}:
            raise unknown_name("setting in search", name, ("gamma", "c"))
        if isinstance(values, str) or not len(values):
            raise InvalidInput(
                f"RbfSvm: search must give a list of values for {name}, got {values!r}"
            )
        for value in values:
            (_check_gamma if name == "gamma" else _check_positive)(f"search {name}", value)


def _check_gamma(name: str, value: Gamma) -> None:
    if value != "scale":
        _check_positive(name, value)


def _check_positive(name: str, value: object) -> None:
    check_above_zero("RbfSvm", name, value, "scale" if "gamma" in name else "")
