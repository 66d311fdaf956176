"""The pages of a study: all that was found, nothing from strangers, the same bytes again."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from tests.report.fake_plans import VILLAIN
from tests.report.fake_study import build, story

from epsball.errors import InvalidInput
from epsball.report import write_study, write_study_page
from epsball.report.drawing.figure import NARROW, WIDE
from epsball.report.study.claims import reason, shared_departures
from epsball.report.study.figures import draw_points, point_frame, study_figure


def test_the_page_has_every_block_that_can_be_shown(study_page: Path) -> None:
    text = study_page.read_text(encoding="utf-8")
    assert text.count("<figure id=") == 2  # the plot without a point is left out
    assert text.count('<ol class="tiles') == 1  # so is the strip whose images are gone
    assert text.count("Not measured in this study.") == 1
    assert "source 0.975" in text
    assert "8 of 9 cells are done" in text
    for words in ("refuted", "claim", "2 of 3 hold", "on digits", "a choice", "nobody was asked"):
        assert words in text


def test_no_text_of_a_stranger_becomes_markup(study_page: Path) -> None:
    assert VILLAIN not in study_page.read_text(encoding="utf-8")


def test_paths_of_this_machine_stay_here(study: Path, study_page: Path) -> None:
    assert "/secret/path" not in study_page.read_text(encoding="utf-8")
    assert "/secret/path" not in write_study_page(study).read_text(encoding="utf-8")


def test_the_same_study_gives_the_same_bytes(study: Path, study_page: Path, tmp_path: Path) -> None:
    before, page = study_page.read_bytes(), write_study_page(study, tmp_path / "a.md")
    assert write_study(study).read_bytes() == before
    assert write_study_page(study, tmp_path / "b.md").read_bytes() == page.read_bytes()


def test_markdown_holds_every_claim_and_table(study: Path) -> None:
    text = write_study_page(study).read_text(encoding="utf-8")
    assert text.startswith("# Is it so?\n")
    for name in ("number", "order", "else"):
        assert text.count(f"| `s.{name}` |") == 1
    assert "- nobody was asked: `s.words`" in text  # a claim without a measurement is no row
    assert "| a \\| b | 0.97 (0.96 to 0.98, source 0.975) |" in text
    assert "| --- | ---: |" in text
    assert "epsball study s --out there" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [line.replace("\\|", "").count("|") for line in lines if "`s." in line]
    assert set(rows) == {6}  # no cell of a stranger opens a column


def test_a_source_without_claims_gets_no_section_of_claims(tmp_path: Path) -> None:
    file = build(tmp_path) / "summary.json"
    summary = json.loads(file.read_text())
    file.write_text(json.dumps(summary | {"claims": [], "verdicts": {}}))
    for page in (write_study(tmp_path), write_study_page(tmp_path)):
        text = page.read_text(encoding="utf-8")
        assert "Claims" not in text
        assert "A number matches" not in text


def test_figures_go_to_files_too(study: Path) -> None:
    write_study(study, figures=True)
    assert (study / "figures" / "dots.svg").stat().st_size > 1000


def test_a_directory_without_a_study_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no summary.json"):
        write_study(tmp_path)
    (tmp_path / "summary.json").write_text('{"headline": null}')
    with pytest.raises(InvalidInput, match="not a study's summary"):
        write_study(tmp_path)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_charts_obey_the_schema(width: int) -> None:
    blocks = [b for b in story().as_dict()["sections"][1]["blocks"] if b["block"] == "figure"]
    for block in blocks[:2]:
        chart = draw_points(point_frame(block["points"]), block, width)
        alt.Chart.from_dict(chart.to_dict(validate=True))


def test_a_figure_says_its_numbers() -> None:
    block = next(b for b in story().as_dict()["sections"][1]["blocks"] if b["key"] == "lines")
    figure = study_figure(block)
    assert figure is not None
    rows = [[cell.text.replace("\u00a0", " ") for cell in row] for row in figure.table.cells]
    assert rows[0] == ["none", "accuracy", "0", "90.0 %", "80.0 % to 95.0 %"]
    assert len(rows) == 12


def test_pages_of_a_study_need_no_torch() -> None:
    code = (
        "import sys, epsball.report.study.page, epsball.report.study.markdown; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_departure_of_all_claims_is_stated_once() -> None:
    claims: list[dict[str, Any]] = [
        {"verdict": "holds", "value": 1.0, "note": "so", "same_setting": False, "differs": ["a"]},
        {
            "verdict": "match",
            "value": 1.0,
            "note": "n",
            "same_setting": False,
            "differs": ["a", "b"],
        },
        {"verdict": "not run", "value": None, "note": "-", "same_setting": False, "differs": []},
    ]
    shared = shared_departures(claims)
    assert shared == ("a",)
    assert reason(claims[0], shared) == "so"
    assert reason(claims[1], shared) == "n (measured in another setting: b)"
    assert reason(claims[0]) == "so (measured in another setting: a)"
    assert shared_departures(claims[2:]) == ()
