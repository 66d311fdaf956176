"""The cells of study `physical`. Imports no torch but where the model is identified."""

from collections.abc import Mapping
from itertools import product

from epsball.errors import InvalidInput, unknown_name
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.core.workspace import Workspace
from epsball.studies.judge.victim import NOWHERE, identity_of, precision_of

NAME, VERSION = "physical", 1
METHODS = ("fast", "iterative", "least-likely", "through-camera")
EPS = tuple(grey / 255 for grey in (16, 8, 4, 2))
SEVERITIES = 5
KNOWN: Mapping[str, Plain] = {
    "model": "zoo:squeezenet",
    "weights": "",
    "method": "fast",
    "eps": EPS[0],
    "steps": 10,
    "draws": 4,  # photographs a step of the attack through the camera
    "severity": 2,  # that it is made for
    "precision": "fast",
}
# seconds for each value of an image on one core of a Xeon at 2.1 GHz
_GRADIENT, _FORWARD, _PHOTOGRAPH = 1e-7, 1.3e-7, 2e-7


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan a cell for clean images, and one for each method and eps."""
    values = _given(options)
    methods = options.grid.get("method", METHODS)
    model, weights = (str(values[name][0]) for name in ("model", "weights"))
    base = {
        "data": data.name,
        "content": data.content,
        "images": options.limit,
        "model": model,
        "weights": weights,
        "identity": identity_of(Workspace(NOWHERE, options.data, options.device), model, weights),
        "precision": precision_of(str(values["precision"][0]), options.device),
    }
    clean = Cell(NAME, "clean", base, 0, options.threads, VERSION)
    attacks = []
    for method, eps in product(methods, options.grid.get("eps", EPS)):
        own: dict[str, Plain] = {"method": method, "eps": eps, "steps": values["steps"][0]}
        if method == "fast":
            own["steps"] = 1
        if method == "through-camera":
            if options.searched == 0:
                continue
            own |= {"draws": values["draws"][0], "severity": values["severity"][0]}
            own["images"] = min(options.searched, options.limit or options.searched)
        attacks.append(Cell(NAME, "attack", base | own, 0, options.threads, VERSION))
    return [clean, *sorted(attacks, key=lambda cell: cell.parameters["method"] == METHODS[-1])]


def _given(options: Options) -> dict[str, tuple[Plain, ...]]:
    """Return the values of each parameter, and refuse those that no cell would refuse."""
    values = {name: options.grid.get(name, (value,)) for name, value in KNOWN.items()}
    unknown = [str(method) for method in values["method"] if method not in METHODS]
    if unknown:
        raise unknown_name("method of the grid", unknown[0], METHODS)
    for name in ("model", "weights", "precision", "steps", "draws", "severity"):
        if len(values[name]) > 1:
            raise InvalidInput(f"grid: give one {name}, got {len(values[name])}")
    for name, most in (("severity", SEVERITIES), ("steps", 10**6), ("draws", 10**6)):
        value = int(str(values[name][0]))
        if not 1 <= value <= most:
            raise InvalidInput(f"grid: {name} must be 1 to {most}, got {value}")
    outside = [eps for eps in values["eps"] if not 0 < float(str(eps)) <= 1]
    if outside:
        raise InvalidInput(f"grid: eps must be in (0, 1], got {outside[0]}")
    return values


def cost(cell: Cell, data: DataSummary) -> float:
    """Return the expected seconds of a cell."""
    images = min(int(str(cell.parameters["images"] or data.test)), data.test)
    photographs = SEVERITIES * (_PHOTOGRAPH + _FORWARD)
    steps = int(str(cell.parameters.get("steps", 0))) * int(str(cell.parameters.get("draws", 1)))
    return images * data.pixels * (steps * _GRADIENT + _FORWARD + photographs)
