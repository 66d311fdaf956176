"""Write docs/tables.md from the tables of the code: `make docs`."""

from pathlib import Path

from epsball.attacks import ATTACKS
from epsball.data import DATASETS
from epsball.defences import REJECTORS
from epsball.evaluation.checks.findings import FINDINGS
from epsball.models import DEFENCES, MODELS
from epsball.studies import STUDIES
from epsball.training import RECIPES

PAGE = Path(__file__).parent / "tables.md"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def page() -> str:
    """Return the whole page."""
    attacks = [
        [f"`{n}`", s.kind, ", ".join(s.norms), s.summary, ", ".join(s.knobs), s.source]
        for n, s in ATTACKS.items()
    ]
    models = [
        [f"`zoo:{n}`", "x".join(map(str, s.input_shape)), f"{s.parameters:,}", s.source]
        for n, s in MODELS.items()
    ]
    steps = [
        [f"`{n}`", s.summary, ", ".join(s.knobs), s.remedy, s.source] for n, s in DEFENCES.items()
    ]
    rejectors = [[f"`{n}`", s.summary, ", ".join(s.knobs), s.source] for n, s in REJECTORS.items()]
    data = [[f"`{s.form}`", s.source] for s in DATASETS.values()]
    recipes = [
        [f"`{n}`", s.description, ", ".join(s.parameters), s.source] for n, s in RECIPES.items()
    ]
    studies = [[f"`{n}`", s.what, ", ".join(s.known), s.source] for n, s in STUDIES.items()]
    findings = [[f"[{n}](findings.md#{n})", s.severity, s.remedy] for n, s in FINDINGS.items()]
    return "\n".join(
        [
            "# What there is\n\nMade by `make docs` from the tables of the code.\n",
            "## Attacks\n",
            table(["attack", "kind", "norms", "what it does", "settings", "source"], attacks),
            "## Models\n",
            table(["model", "images", "parameters", "source"], models),
            "## Preprocessing defences\n",
            table(["defence", "what it does", "settings", "broken by", "source"], steps),
            "## Defences that are fitted, and may reject\n",
            table(["defence", "what it does", "settings", "source"], rejectors),
            "## Data\n",
            table(["data", "what it is"], data),
            "## Training recipes\n",
            table(["recipe", "what it does", "settings", "source"], recipes),
            "## Studies\n",
            table(["study", "question", "parameters of `--grid`", "source"], studies),
            "## Findings\n",
            table(["finding", "severity", "remedy"], findings),
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
