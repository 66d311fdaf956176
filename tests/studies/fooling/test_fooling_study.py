from pathlib import Path

import pytest
from tests.studies.confidence_bands.test_study import MODEL

from epsball.errors import InvalidInput
from epsball.studies import run_study


def test_every_way_of_searching_is_reported(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL.replace("/ 20", "/ 2"))
    grid = f"model={tmp_path}/model.py:build;steps=60;evaluations=1280;evolution_classes=3"
    result = run_study("fooling", tmp_path / "out", data="digits", seeds=2, grid=grid)
    assert not result.failed
    (claim,) = result.claims
    assert claim["verdict"] == "holds"
    assert claim["value"] == 1.0
    (table,) = result.summary["story"]["sections"][0]["blocks"]
    assert [row[0] for row in table["rows"]] == [
        "gradient from noise", "gradient from black", "evolution, patterns", "evolution, pixels",
    ]  # fmt: skip
    assert [row[1] for row in table["rows"]] == ["10", "10", "3", "3"]


def test_a_model_that_is_never_sure_refutes_the_statement(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL.replace("/ 20", "/ 2e6"))
    grid = f"model={tmp_path}/model.py:build;steps=2;evaluations=64"
    result = run_study("fooling", tmp_path / "out", data="digits", seeds=1, grid=grid)
    assert result.claims[0]["verdict"] == "refuted"


@pytest.mark.parametrize(
    ("grid", "message"),
    [("confidence=1", r"confidence must be in \(0, 1\)"), ("steps=0", "steps must be at least 1")],
)
def test_bad_grids_are_refused(tmp_path: Path, grid: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run_study("fooling", tmp_path / "out", data="digits", grid=grid)
