"""`epsball list`: what there is to choose from, read off the tables."""

from typing import Annotated

import typer

from epsball.errors import unknown_name


def list_table(
    what: Annotated[
        str,
        typer.Argument(
            help="attacks, models, data, recipes, defences or studies.", show_default=False
        ),
    ],
) -> None:
    """List attacks, models, data, training recipes, defences that are fitted, or studies.

    Example: epsball list attacks
    """
    from epsball.cli.console.show import show_table

    name = next((table for table in _TABLES if what.lower() in (table, table[:-1])), None)
    if what.lower() == "study":
        name = "studies"
    if name is None:
        raise unknown_name("table", what, _TABLES)
    heads, rows = _TABLES[name]()
    show_table(heads, rows)


def _attacks() -> tuple[list[str], list[list[str]]]:
    from epsball.attacks import ATTACKS

    rows = [
        [name, spec.kind, ", ".join(spec.norms), spec.summary, ", ".join(spec.knobs), spec.source]
        for name, spec in ATTACKS.items()
    ]
    return ["attack", "kind", "norms", "what it does", "settings", "source"], rows


def _models() -> tuple[list[str], list[list[str]]]:
    from epsball.models import MODELS

    rows = [
        [
            f"zoo:{name}",
            "x".join(str(side) for side in spec.input_shape),
            str(spec.classes),
            f"{spec.parameters:,}",
            "published" if spec.weights else "train it: epsball train",
            spec.source,
        ]
        for name, spec in MODELS.items()
    ]
    own = (
        "your own: FILE.py:factory, timm:, torchvision:, hf:, robustbench:, onnx:, pt2:, jit:, "
        "sklearn:"
    )
    return ["model", "images", "classes", "parameters", "weights", "source"], [
        *rows,
        [own, "", "", "", "--weights FILE", ""],
    ]


def _data() -> tuple[list[str], list[list[str]]]:
    from epsball.data import DATASETS
    from epsball.evaluation.metrics.present import eps_text

    rows = [
        [spec.form, spec.source, ", ".join(eps_text(eps) for eps in spec.eps) or "by their size"]
        for spec in DATASETS.values()
    ]
    return ["data", "what it is", "default eps (linf)"], rows


def _recipes() -> tuple[list[str], list[list[str]]]:
    from epsball.training import RECIPES

    rows = [
        [name, spec.description, ", ".join(spec.parameters), spec.source]
        for name, spec in RECIPES.items()
    ]
    return ["recipe", "what it does", "settings", "source"], rows


def _defences() -> tuple[list[str], list[list[str]]]:
    from epsball.defences import REJECTORS

    rows = [
        [name, spec.summary, ", ".join(spec.knobs), spec.source] for name, spec in REJECTORS.items()
    ]
    return ["defence", "what it does", "settings", "source"], rows


def _studies() -> tuple[list[str], list[list[str]]]:
    from epsball.studies import STUDIES

    rows = [[name, spec.what, ", ".join(spec.known), spec.source] for name, spec in STUDIES.items()]
    return ["study", "question", "parameters of --grid", "source"], rows


_TABLES = {
    "attacks": _attacks,
    "models": _models,
    "data": _data,
    "recipes": _recipes,
    "defences": _defences,
    "studies": _studies,
}
