"""Study red-blue, small, from the command line to its pages."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epsball.cli.app import app
from epsball.errors import InvalidInput
from epsball.studies import load_claims, read_rows, run_study
from epsball.studies.core.cell import Cell
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.studies.red_blue.study import RED_BLUE
from epsball.studies.table import STUDIES

pytestmark = pytest.mark.timeout(60)  # the study is run once, within the first of these tests
SMALL = {
    "grid": "l1=0,3e-4;l2=0;hidden=64;dropout=0;arm_eps=0.02",
    "data": "digits",
    "seeds": 1,
    "limit": 60,
    "train_limit": 1000,
    "searched": 6,
    "epochs": 5,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that the command line ran."""
    out = tmp_path_factory.mktemp("study") / "out"
    flags = [f for k, v in SMALL.items() for f in (f"--{k.replace('_', '-')}", str(v))]
    page = out.parent / "pages" / "red-blue.md"
    options = ["study", "red-blue", "--out", str(out), *flags, "--page", str(page)]
    result = CliRunner().invoke(app, options, catch_exceptions=False)
    assert result.exit_code == 0
    assert page.exists()
    return out


def test_rows_say_what_was_measured(done: Path) -> None:
    rows = read_rows(done)
    judged = rows.filter(kind="judge")
    assert set(judged["attack"]) == {"none", "fgsm", "fgsm:clip=False"}
    assert len(judged) == 4 * 9  # four networks; clean, and two attacks at four eps
    assert set(judged["n"]) == {60}
    assert (judged["right"] == (judged["accuracy"] * 60).round()).all()
    mean = judged.filter(attack="fgsm", eps=0.1).to_dicts()[0]
    parts = mean["right"] * (mean["confidence_right"] or 0)
    parts += (60 - mean["right"]) * (mean["confidence_wrong"] or 0)
    assert mean["confidence"] == pytest.approx(parts / 60)
    searched = rows.filter(kind="search")
    assert set(searched["attack"]) == {"pgd", "strongest"}
    assert set(searched["n"]) == {6}


def test_settings_differ_in_their_penalty_alone(done: Path) -> None:
    nets = read_rows(done).filter(kind="train", arm="clean").sort("l1")
    assert nets["weights_l1"][1] < 0.9 * nets["weights_l1"][0]
    assert nets["gradient_evaluations"][0] == nets["gradient_evaluations"][1] == 5 * 1000


def test_every_claim_has_its_verdict(done: Path) -> None:
    summary = json.loads((done / "summary.json").read_text())
    assert summary["cells"]["done"] == summary["cells"]["planned"] == 18
    assert [c["id"] for c in summary["claims"]] == [c.id for c in load_claims("red-blue")]
    needed = {"id", "verdict", "value", "interval", "seeds", "note", "same_setting"}
    assert all(needed <= claim.keys() for claim in summary["claims"])
    assert not any(claim["same_setting"] for claim in summary["claims"])
    assert {c["verdict"] for c in summary["claims"]} <= {"holds", "undecided", "not run"}


def test_pages(done: Path) -> None:
    html = (done / "report.html").read_text()
    assert html.count('<ol class="tiles') == 2  # two networks, one digit each
    page = (done / "red-blue.md").read_text()
    assert page == (done.parent / "pages" / "red-blue.md").read_text()
    claims = load_claims("red-blue")
    assert len(claims) == 70
    assert all(f"`{claim.id}`" in page for claim in claims)  # measured ones in rows, others listed
    assert "## Stronger attacks" in page


def test_the_page_can_be_written_again(done: Path) -> None:
    before = (done / "report.html").read_bytes()
    (done / "report.html").unlink()
    result = CliRunner().invoke(app, ["report", str(done)], catch_exceptions=False)
    assert result.exit_code == 0
    assert (done / "report.html").read_bytes() == before


def test_what_is_lost_is_done_again_to_the_same_rows(done: Path) -> None:
    before = read_rows(done)
    files = {f: f.stat().st_mtime_ns for f in (done / "rows").iterdir()}
    lost = done / "rows" / f"{before.filter(kind='judge')['cell'][0]}.parquet"
    lost.unlink()
    run_study("red-blue", done, **SMALL)  # type: ignore[arg-type]  # values of several types
    touched = {f for f in files if f.stat().st_mtime_ns != files[f]}
    assert touched == {lost}
    assert read_rows(done).drop("seconds").equals(before.drop("seconds"))


def test_missing_weights_fail_their_cell_with_a_remedy(tmp_path: Path) -> None:
    few = SMALL | {"grid": "l1=0;l2=0;arm=clean;hidden=8", "searched": 0, "epochs": 1}
    run_study("red-blue", tmp_path, **few)  # type: ignore[arg-type]  # values of several types
    rows = read_rows(tmp_path)
    judge, net = (rows.filter(kind=kind)["cell"][0] for kind in ("judge", "train"))
    (tmp_path / "rows" / f"{judge}.parquet").unlink()
    (tmp_path / "models" / net / "model.safetensors").unlink()
    result = run_study("red-blue", tmp_path, **few)  # type: ignore[arg-type]  # as above
    (failure,) = result.failed
    assert failure["cell"] == judge
    assert f"{net}.parquet too, and give the command again" in failure["message"]
    assert result.summary["cells"] == {"planned": 3, "done": 2}
    (tmp_path / "rows" / f"{net}.parquet").unlink()
    assert not run_study("red-blue", tmp_path, **few).failed  # type: ignore[arg-type]  # as above


def test_a_failed_cell_is_on_the_page_and_in_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(cell: Cell, workspace: Workspace) -> list[Row]:
        raise RuntimeError(f"no {cell.kind} in {workspace.data}")

    works = dict(RED_BLUE.works) | {"judge": fail}
    monkeypatch.setitem(STUDIES, "red-blue", replace(RED_BLUE, works=works))
    out = tmp_path / "out"
    few = SMALL | {"grid": "l1=0;l2=0;arm=clean;hidden=8", "searched": 0, "epochs": 1}
    flags = [f for k, v in few.items() for f in (f"--{k.replace('_', '-')}", str(v))]
    result = CliRunner().invoke(app, ["study", "red-blue", "--out", str(out), *flags])
    assert result.exit_code == 1
    assert "1 cells failed" in result.output
    for name in ("red-blue.md", "report.html"):
        assert "RuntimeError: no judge in digits" in (out / name).read_text()


def test_the_plan_is_shown_and_nothing_written(done: Path, tmp_path: Path) -> None:
    flags = ["--data", "digits", "--grid", "l1=0;l2=0", "--seeds", "2", "--searched", "0"]
    command = ["study", "red-blue", "--plan", *flags]
    fresh = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "9 cells, about" in fresh.output  # two arms, two seeds: train, judge; one strip
    assert not list(tmp_path.iterdir())
    chosen = [*command, "--only", "kind=train;arm=clean"]
    part = CliRunner().invoke(app, chosen, catch_exceptions=False)
    assert "2 cells, about" in part.output
    own = [f for k, v in SMALL.items() for f in (f"--{k.replace('_', '-')}", str(v))]
    finished = CliRunner().invoke(
        app, ["study", "red-blue", "--plan", "--out", str(done), *own], catch_exceptions=False
    )
    assert "18 cells, about 0 s left on one process" in finished.output


def test_a_part_of_the_plan_runs_first(tmp_path: Path) -> None:
    few = SMALL | {"grid": "l1=0;l2=0;arm=clean;hidden=8", "searched": 0, "epochs": 1}
    first = run_study("red-blue", tmp_path, only="kind=train", **few)  # type: ignore[arg-type]  # as above
    assert first.summary["cells"] == {"planned": 3, "done": 1}
    whole = run_study("red-blue", tmp_path, **few)  # type: ignore[arg-type]  # as above
    assert whole.summary["cells"] == {"planned": 3, "done": 3}


def test_directories_of_an_older_version_are_refused(done: Path, tmp_path: Path) -> None:
    manifest = json.loads((done / "study.json").read_text())
    del manifest["schema"]
    manifest["versions"]["epsball"] = "0.1.0"
    (tmp_path / "study.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidInput, match=r"written by epsball 0\.1\.0.*choose another --out"):
        run_study("red-blue", tmp_path, **SMALL)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 6}, r"differs in epochs \(5 there, 6 here\)"),
        ({"limit": 50}, r"differs in limit \(60 there, 50 here\)"),
        ({"seeds": 0}, "seeds must be 1 or more"),
        ({"grid": "l9=1"}, "unknown parameter of the grid 'l9'"),
        ({"workers": 0}, "workers must be 1 or more"),
        ({"classes": "3"}, "applies to studies of single classes"),
        ({"only": "kind=x"}, "no cell of the plan"),
        ({"colour": 1}, "unknown option of a study 'colour'"),
    ],
)
def test_bad_input_is_refused(done: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        run_study("red-blue", done, **SMALL | change)  # type: ignore[arg-type]  # see above


def test_other_directories_are_left_alone(done: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="did you mean 'red-blue'"):
        run_study("redblue", tmp_path / "new")
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidInput, match="holds something else"):
        run_study("red-blue", tmp_path, data="digits")
    manifest = done / "study.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"study": "red-blue"', '"study": "other"'))
    try:
        with pytest.raises(InvalidInput, match="differs in study"):
            run_study("red-blue", done, data="digits")
    finally:
        manifest.write_text(text)
    assert not (tmp_path / "new").exists()


def test_the_command_ends_with_2_for_bad_input(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["list", "studies"], catch_exceptions=False)
    assert "red-blue" in listed.output
    with pytest.raises(InvalidInput, match="did you mean"):
        CliRunner().invoke(
            app, ["study", "red-blu", "--out", str(tmp_path)], catch_exceptions=False
        )
