"""The cells of study `adversarial-training`."""

from collections.abc import Mapping
from typing import Any

from epsball.errors import InvalidInput, unknown_name
from epsball.studies.adversarial_training.trainings import ALL, EXTRA, TRAININGS
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.training import default_settings

NAME, VERSION = "adversarial-training", 2
KNOWN: Mapping[str, Plain] = {"row": "pgd", "eps": 0.3, "attack_steps": 7, "epochs": 6}
_EPS = {"mnist": 0.3, "digits": 0.1, "cifar10": 8 / 255}
_MODELS: Mapping[tuple[int, int, int], str] = {(1, 28, 28): "base-cnn", (3, 32, 32): "vgg-cifar"}
_SEARCHES: tuple[tuple[str, int], ...] = (("bim", 1), ("pgd", 5), ("strongest", 1))
_TRANSFERRED = 2000  # test images at most: each costs the held-out model eleven gradients
_SLOPED = 200  # images along whose gradient sign logits are followed
# seconds of one gradient of one image on one core of a Xeon at 2.1 GHz
_GRADIENT = {"base-cnn": 6e-4, "vgg-cifar": 6e-3}
# gradients of an image: in training by recipe, one without attack; in each cell of another kind
_RECIPES = {"standard": 1, "pgd": 8, "iterative-mix": 8, "trades": 9, "mart": 9}
_CELLS = {"judge": 4, "transfer": 1, "slopes": 40, "levels": 2, "examples": 11}
_ATTACKS = {"bim": 30, "pgd": 100, "strongest": 600}


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan a network for every row and seed, the helpers they need, and their judges."""
    names = [str(name) for name in options.grid.get("row", tuple(TRAININGS))]
    for name in names:
        if name not in TRAININGS and name not in EXTRA:
            raise unknown_name("row of the study", name, [*TRAININGS, *EXTRA])
    cells: list[Cell] = []
    for repeat in range(options.seeds):
        cells += _repetition(names, options, data, repeat)
    return cells


def _repetition(names: list[str], options: Options, data: DataSummary, repeat: int) -> list[Cell]:
    """Plan one repetition: helpers, rows, then their judges, expensive attacks last."""
    helpers = {source for name in names for source in ALL[name].sources} | {"held-out"}
    nets: dict[str, Cell] = {}
    for name in (*sorted(helpers), *names):
        needs = tuple(nets[source].hash for source in ALL[name].sources)
        nets[name] = _net(name, options, data, repeat, needs)
    rows = [nets[name] for name in names]
    transferred = min(options.limit or _TRANSFERRED, _TRANSFERRED)
    examples = _after(nets["held-out"], "examples", transferred)
    cheap = [
        examples,
        *(_after(net, "judge", options.limit) for net in rows),
        *(_after(net, "transfer", transferred, examples.hash) for net in rows),
        *(_after(nets["none"], kind, _SLOPED) for kind in ("slopes", "levels") if "none" in nets),
    ]
    expensive = [
        _after(net, "search", options.searched, search=attack, restarts=restarts)
        for attack, restarts in _SEARCHES
        for net in rows
        if options.searched
    ]
    return [*nets.values(), *cheap, *expensive]


def _net(
    name: str, options: Options, data: DataSummary, repeat: int, needs: tuple[str, ...]
) -> Cell:
    if data.shape not in _MODELS:
        raise InvalidInput(
            f"study {NAME} has networks for images of {', '.join(map(str, _MODELS))}, got "
            f"{data.shape} from {data.name}; take mnist, cifar10 or digits"
        )
    training, model = ALL[name], _MODELS[data.shape]
    eps, steps = _one(options, "eps", _EPS.get(data.name)), _one(options, "attack_steps", 7)
    if eps is None:
        raise InvalidInput(f'study {NAME}: no usual eps for {data.name}; --grid "eps=0.1"')
    chosen: dict[str, Any] = dict(training.settings)
    chosen |= {"eps": eps, "watch_every": 1} if training.attacked else {}
    chosen |= {"attack_steps": steps} if training.steps else {}
    epochs = _one(options, "epochs", options.epochs)
    chosen |= {} if epochs is None else {"epochs": epochs}
    count = min(options.train_limit or data.train, data.train)
    settings = default_settings(model, count, by_recipe=False, validation=0.0, **chosen)
    settings = settings.changed(epochs=settings.epochs * training.longer)
    changed = settings.model_dump(exclude_defaults=True, mode="json")
    parameters: dict[str, Plain] = {
        "row": name,
        "model": model,
        "width": training.width,
        "dropout": training.dropout,
        "data": data.name,
        "content": data.content,
        "train_images": options.train_limit,
        "study_eps": eps,
    }
    parameters |= {f"train_{key}": value for key, value in changed.items()}
    return Cell(NAME, "train", parameters, repeat, options.threads, VERSION, needs)


def _one(options: Options, name: str, usual: Plain) -> Plain:
    """Return the only value of a parameter: all rows are compared at the same one."""
    values = options.grid.get(name, (usual,))
    if len(values) > 1:
        raise InvalidInput(f"grid: study {NAME} takes one {name} at a time, got {len(values)}")
    return values[0]


def _after(net: Cell, kind: str, images: int | None, *needs: str, **more: Plain) -> Cell:
    parameters = {**net.parameters, "images": images, **more}
    return Cell(NAME, kind, parameters, net.repeat, net.threads, VERSION, (net.hash, *needs))


def cost(cell: Cell, data: DataSummary) -> float:
    """Return the expected seconds of a cell."""
    values: Any = cell.parameters
    gradient = _GRADIENT[values["model"]] * values["width"]
    if cell.kind == "train":
        images = min(values["train_images"] or data.train, data.train)
        epochs = values.get("train_epochs") or 6
        recipe = _RECIPES.get(values.get("train_recipe", "standard"), 2)
        return float(images * epochs * recipe * gradient)
    images = min(values["images"] or data.test, data.test)
    count = _ATTACKS[values["search"]] if cell.kind == "search" else _CELLS[cell.kind]
    return float(images * count * gradient)
