"""Which cells study `confidence-bands` has.

Source: Possas, slides "Adversarial attacks and confidence". It states neither eps, step size nor
the number of iterations, and not where the one is set. All of them are parameters here, so that its
table can be placed on a curve.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from epsball.errors import InvalidInput, unknown_name
from epsball.kinds.relatives import related_by
from epsball.studies.confidence_bands.bands import parse_bands
from epsball.studies.confidence_bands.reading import KNOWN, READING, reading_of
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options, each_setting
from epsball.studies.core.workspace import Workspace
from epsball.studies.judge.victim import identity_of, precision_of

NAME, VERSION = "confidence-bands", 1
REFERENCES = ("least_likely", "predicted", "least_likely_top5")
_OF_THE_TABLE = REFERENCES[:2]
METHODS = ("fast", "iterative")
SCALES = ("log-softmax", "softmax", "logit")
# the middle first: a study that is stopped early has the most informative eps
EPS = tuple(grey / 255 for grey in (4, 16, 1, 8, 2, 0.5))
_OTHER_STEPS = (3, 30)  # beside the study's own, on a part of the images


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan one cell for clean images, one for each attack, one for the gallery."""
    _check(options, data)
    base = _base(options, data)
    clean = _cell(options, "clean", base)
    fast = [_attack(clean, "fast", s, options) for s in _settings(options, eps=(EPS[0],))]
    # what the source's table has comes first
    settings = sorted(_settings(options), key=lambda s: s["reference"] not in _OF_THE_TABLE)
    iterative = [_attack(clean, "iterative", s, options) for s in settings]
    cells = [clean, *fast, *iterative, *_expensive(clean, options)]
    gallery = [_gallery(clean, one, options, data) for one in _shown(iterative)]
    return [
        *cells[: 1 + len(fast)],
        _cell(options, "black", base),
        *cells[1 + len(fast) :],
        *gallery,
    ]


def _check(options: Options, data: DataSummary) -> None:
    """Refuse values that no cell would refuse."""
    for name in (*READING, "model", "weights", "precision"):
        if len(options.grid.get(name, ())) > 1:
            raise InvalidInput(f"grid: give one {name}, got {len(options.grid[name])}")
    for name, known in (("reference", REFERENCES), ("scale", SCALES)):
        unknown = [value for value in options.grid.get(name, ()) if value not in known]
        if unknown:
            raise unknown_name(f"{name} of the grid", str(unknown[0]), known)
    for name in ("eps", "steps", "stride"):
        for value in options.grid.get(name, ()):
            if not isinstance(value, (int, float)) or value <= 0:
                raise InvalidInput(f"grid: {name} must be above 0, got {value}")
    _check_reading(options, data)


def _check_reading(options: Options, data: DataSummary) -> None:
    reading = reading_of(options, data)
    parse_bands(str(reading["bands"]))
    k = reading["k"]
    if not isinstance(k, int) or not 1 <= k <= data.classes:
        raise InvalidInput(
            f"grid: k must be from 1 to the number of classes, {data.classes}, got {k}"
        )
    if reading["hierarchy"] != "confusion":
        classes, nothing = data.class_names, np.zeros(0, np.int64)
        related_by(str(reading["hierarchy"]), classes, nothing, nothing)


def _base(options: Options, data: DataSummary) -> dict[str, Plain]:
    model, weights, precision = (
        str(options.grid.get(name, (KNOWN[name],))[0]) for name in ("model", "weights", "precision")
    )
    workspace = Workspace(Path(), options.data, options.device)
    return {
        "data": data.name,
        "content": data.content,
        "images": options.limit,
        "model": model,
        "weights": weights,
        "identity": identity_of(workspace, model, weights),
        "precision": precision_of(precision, options.device),
    }


def _settings(options: Options, **own: tuple[Plain, ...]) -> Iterator[dict[str, Plain]]:
    usual: dict[str, tuple[Plain, ...]] = {
        "reference": REFERENCES,
        "scale": SCALES[:1],
        "eps": EPS,
        "steps": (10,),
        "stride": (2.5,),
    }
    chosen = {n: own.get(n, options.grid.get(n, values)) for n, values in usual.items()}
    # eps moves slowest: all references of one eps are done before the next
    order = ("scale", "steps", "stride", "eps", "reference")
    yield from each_setting({name: chosen[name] for name in order})


def _expensive(clean: Cell, options: Options) -> list[Cell]:
    """Vary the scale and the number of steps on a part of the images."""
    if options.searched == 0:
        return []
    images = min(options.searched, options.limit or options.searched)
    few = replace(clean, parameters={**clean.parameters, "images": images})
    first = (options.grid.get("eps", EPS)[0],)
    cells = [few]
    if "scale" not in options.grid:
        for scale in SCALES[1:]:
            settings = list(_settings(options, eps=first, scale=(scale,)))
            cells += [_attack(few, method, s, options) for s in settings for method in METHODS]
    if "steps" not in options.grid:
        for steps in _OTHER_STEPS:
            settings = list(_settings(options, eps=first, steps=(steps,)))
            cells += [_attack(few, "iterative", s, options) for s in settings]
    return cells


def _attack(clean: Cell, method: str, setting: Mapping[str, Plain], options: Options) -> Cell:
    parameters = {**clean.parameters, "method": method, **setting}
    if method == "fast":  # one gradient serves every eps
        radii = sorted({float(str(eps)) for eps in options.grid.get("eps", EPS)})
        parameters |= {"radii": " ".join(map(repr, radii)), "eps": None, "steps": 1}
        del parameters["stride"]
    return replace(clean, kind="attack", parameters=parameters, needs=(clean.hash,))


def _gallery(clean: Cell, attack: Cell, options: Options, data: DataSummary) -> Cell:
    hierarchy = reading_of(options, data)["hierarchy"]
    parameters = {**attack.parameters, "hierarchy": hierarchy}
    return replace(attack, kind="gallery", parameters=parameters, needs=(clean.hash, attack.hash))


def _shown(attacks: Sequence[Cell]) -> Sequence[Cell]:
    """Return the attack that is shown: away from the predicted class, where there is one."""
    away = [cell for cell in attacks if cell.parameters["reference"] == "predicted"]
    return (away or attacks)[:1]


def _cell(options: Options, kind: str, parameters: Mapping[str, Plain]) -> Cell:
    return Cell(NAME, kind, parameters, 0, options.threads, VERSION)


# seconds for each value of an image on one core of a Xeon at 2.1 GHz: a gradient of squeezenet in
# bfloat16, and a forward pass in float32; vgg-cifar takes about as long for each of its values
_GRADIENT, _FORWARD = 1e-7, 1.3e-7


def cost(cell: Cell, data: DataSummary) -> float:
    """Return the expected seconds of a cell."""
    if cell.kind in ("black", "gallery"):
        return 2.0
    images = min(int(str(cell.parameters["images"] or data.test)), data.test)
    if cell.kind == "clean":
        return images * data.pixels * _FORWARD
    forwards = len(str(cell.parameters.get("radii", "")).split()) or 1
    passes = int(str(cell.parameters["steps"])) * _GRADIENT + forwards * _FORWARD
    return images * data.pixels * passes
