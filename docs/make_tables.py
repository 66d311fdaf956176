"""Write from the tables of the code what repeats them: `make docs`.

Written are docs/tables.md, the attacks in README.md, and the names that `epsball.attacks` exports.
"""

from pathlib import Path

from epsball.attacks.table import ATTACKS
from epsball.data import DATASETS
from epsball.defences import REJECTORS
from epsball.evaluation.checks.findings import FINDINGS
from epsball.models import DEFENCES, MODELS
from epsball.studies import STUDIES
from epsball.training import RECIPES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tables.md"
README = ROOT / "README.md"
STUB = ROOT / "src" / "epsball" / "attacks" / "__init__.pyi"
BEGIN, END = "<!-- attacks: made by `make docs` -->\n", "<!-- end of attacks -->\n"
BASELINE = "noise"
# what `epsball.attacks` exports beside the attacks of its table
ALSO = {
    "combine.best_of": ["best_of"],
    "combine.bpda": ["bpda"],
    "combine.ensemble": ["ensemble"],
    "combine.expectation": ["Expectation", "expectation"],
    "combine.over_targets": ["over_targets"],
    "spec": ["AttackSpec"],
    "table": ["ATTACKS"],
    "unrestricted.corruptions.corruptions": ["CORRUPTIONS", "corrupt"],
}


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


def readme() -> str:
    """Return README.md with the attacks of the table."""
    kinds = {
        "Is an image fooled within eps?": "budget",
        "How far is the nearest adversarial image?": "minimal",
        "What is possible with scores or labels alone?": "query",
        "What is possible without a norm ball?": "other",
    }
    rows = [
        [
            question,
            ", ".join(f"`{n}`" for n, s in ATTACKS.items() if s.kind == kind and n != BASELINE),
        ]
        for question, kind in kinds.items()
    ]
    rows.append(["What does random noise do? (the baseline)", f"`{BASELINE}`"])
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + table(["question", "attacks"], rows) + END + rest.partition(END)[2]


def stub() -> str:
    """Return the stub that `epsball.attacks` loads its names from."""
    modules = {module: list(names) for module, names in ALSO.items()}
    for spec in ATTACKS.values():
        module = spec.attack.__module__.removeprefix("epsball.attacks.")
        modules.setdefault(module, []).append(spec.attack.__name__)
    return "".join(
        f"from .{module} import {name} as {name}\n"
        for module, names in sorted(modules.items())
        for name in sorted(names)
    )


def pages() -> dict[Path, str]:
    """Return the text of every file that is written here."""
    return {PAGE: page(), README: readme(), STUB: stub()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
