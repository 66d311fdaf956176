"""Documents cannot rot: every snippet runs, every table is the code's own."""

import importlib.util
import re
import runpy
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_example_runs(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = runpy.run_path(str(example))
    if example.stem == "audit_in_python":
        assert result["report"].headline in capsys.readouterr().out
    if "build" in result:
        assert not result["build"]().training


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_up_to_date() -> None:
    pages: dict[Path, str] = load(ROOT / "docs" / "make_tables.py").pages()
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name} is not current: run `make docs`"
        )


def test_examples_are_what_the_readme_shows() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for example in EXAMPLES:
        assert f"docs/examples/{example.name}" in readme


def test_tests_that_a_page_names_exist() -> None:
    page = (ROOT / "docs" / "results" / "faults.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", page)
    assert len(named) >= 28
    for file, test in named:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert f"def {test}(" in text, f"{file}::{test}"
