"""Study neural-rejection, as small as it goes, to its pages."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from epsball.errors import InvalidInput
from epsball.report import write_study, write_study_page
from epsball.studies import StudyResult, load_claims, read_rows, run_study
from epsball.studies.core.cell import Cell
from epsball.studies.core.planning import make_options
from epsball.studies.core.running import perform
from epsball.studies.core.workspace import Workspace
from epsball.studies.neural_rejection import works as neural_rejection_works
from epsball.studies.neural_rejection.networks import as_stated
from epsball.studies.neural_rejection.page import choices
from epsball.studies.neural_rejection.results import NOTES, Results
from epsball.studies.neural_rejection.study import NEURAL_REJECTION
from epsball.studies.neural_rejection.subjects import NETS, SUBJECTS
from epsball.studies.neural_rejection.tables import base_table

GRID = "eps=0,1,5;steps=5"
SMALL: dict[str, Any] = {
    "data": "digits",
    "seeds": 1,
    "limit": 12,
    "train_limit": 160,
    "searched": 0,
    "epochs": 1,
}
WHOLE = {name for name, subject in SUBJECTS.items() if subject.whole}


# the mark makes every test slow that uses the study, which takes more than a minute of a CPU
@pytest.fixture(scope="session", params=[pytest.param(GRID, marks=pytest.mark.slow, id="small")])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """A finished study, without the dear attacks."""
    out = tmp_path_factory.mktemp("neural-rejection") / "out"
    return run_study("neural-rejection", out, grid=request.param, **SMALL)


def test_every_planned_cell_is_done_and_none_is_planned_twice(study: StudyResult) -> None:
    cells = study.summary["cells"]
    files = list((study.out / "rows").iterdir())
    assert cells["done"] == cells["planned"] == len(files)


def test_rows_say_what_was_measured(study: StudyResult) -> None:
    rows = read_rows(study.out)
    assert set(rows.filter(kind="train")["net"]) == set(NETS)
    assert set(rows.filter(kind="losses")["split"]) == {"train", "test"}
    judged = rows.filter(kind="curve", mode="whole")
    assert set(judged["subject"]) == set(SUBJECTS)
    assert set(judged["attack"]) == {"none", "source"}
    assert len(judged) == len(SUBJECTS) * 3
    assert set(judged["n"]) == {12}
    assert (judged["right"] == (judged["accuracy"] * 12).round()).all()
    assert judged.filter(subject="none")["rejected"].sum() == 0
    shown = rows.filter(kind="limited")
    assert set(shown["subject"]) == WHOLE - {"none"}
    assert set(shown["eps"]) == {1.0, 5.0}
    assert set(rows.filter(kind="fit")["combiner"]) == {None, "in-sample", "out-of-fold"}


def test_what_fooled_is_trained_on(study: StudyResult) -> None:
    rows = read_rows(study.out)
    kept = dict(rows.filter(kind="harvest").select("subject", "kept").iter_rows())
    trained = dict(rows.filter(kind="train").select("net", "gradient_evaluations").iter_rows())
    assert trained["retrained"] == 160 + kept["none"]
    fitted = dict(rows.filter(kind="fit").select("fit", "n").iter_rows())
    assert (fitted["dnr"], fitted["dnr-retrained"]) == (160, 160 + kept["dnr"])


@pytest.mark.parametrize("good", [True, False])
def test_defences_are_put_around_the_source_s_own_network_where_it_is_good(
    study: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: bool
) -> None:
    monkeypatch.setattr(neural_rejection_works, "GOOD", 0.0 if good else 1.1)
    workspace = Workspace(tmp_path, "digits")
    planned = NEURAL_REJECTION.plan(
        make_options(NEURAL_REJECTION, GRID, SMALL), Workspace(study.out, "digits").summarise_data()
    )
    nets = {c.parameters["net"]: c for c in planned if c.kind == "train"}
    perform(nets["source"], workspace)
    (row,) = perform(nets["base"], workspace)
    weights = [
        load_file(workspace.model(nets[n].hash) / "model.safetensors") for n in ("source", "base")
    ]
    same = all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (row["taken"], row["lr"], same) == (good, 0.1 if good else 0.01, good)


def test_a_network_that_is_taken_stands_on_the_page_once(study: StudyResult) -> None:
    rows = read_rows(study.out)
    for taken, one in ((True, 1), (False, 2)):
        base = pl.col("kind").eq("train") & pl.col("net").eq("base")
        turned = rows.with_columns(taken=pl.when(base).then(taken), lr=pl.when(base).then(0.1))
        results = Results(turned)
        named = [row[0] for row in base_table(results).rows]
        assert sum(str(name).endswith(", lr 0.1") for name in named) == one
        assert as_stated(results) == taken
        words = " ".join(NOTES.items("notes", **choices(results)))
        assert ("with the source's settings, in float32" in words) == taken
        assert ("trained at a tenth of that rate" in words) != taken


def test_images_are_the_same_for_all(study: StudyResult) -> None:
    rows = read_rows(study.out).filter(kind="curve", subject="none", attack="source")
    first, second = (study.out / "examples" / f"{cell}.npz" for cell in sorted(rows["cell"]))
    with np.load(first) as one, np.load(second) as other:
        gap = np.abs(one["images"] - other["images"]).reshape(12, -1)
        assert one["images"].shape == (12, 1, 28, 28)
    # both within 5 of the same clean images; other images are further apart
    assert np.linalg.norm(gap, axis=1).max() <= 1 + 5 + 1e-4


def test_every_claim_has_its_verdict(study: StudyResult) -> None:
    assert [c["id"] for c in study.claims] == [c.id for c in load_claims("neural-rejection")]
    assert {c["verdict"] for c in study.claims} <= {"holds", "undecided", "not run"}
    assert not any(c["same_setting"] for c in study.claims)
    judged = [c["id"] for c in study.claims if c["value"] is None]
    assert judged == ["neural-rejection.weaker-attack"]  # rungs were left out


def test_pages(study: StudyResult) -> None:
    page = write_study(study.out).read_text()
    for key in ("accuracy", "rejected", "knowledge", "coverage"):
        assert f'id="figure-{key}"' in page
    assert page.count('<ol class="tiles') == len(WHOLE)
    text = Path(write_study_page(study.out)).read_text()
    for words in ("| DNR, combiner out of fold |", "| the source reports |", "## Costs"):
        assert words in text
    assert "nan" not in text
    assert "None" not in text


def test_a_second_run_does_nothing_and_says_the_same(study: StudyResult) -> None:
    files = {f: f.stat().st_mtime_ns for f in (study.out / "rows").iterdir()}
    again = run_study("neural-rejection", study.out, grid=GRID, **SMALL)
    assert {f: f.stat().st_mtime_ns for f in (study.out / "rows").iterdir()} == files
    assert json.dumps(again.summary["story"]) == json.dumps(study.summary["story"])


def test_dear_attacks_speak_for_themselves(study: StudyResult) -> None:
    workspace, spec = Workspace(study.out, "digits"), NEURAL_REJECTION
    options = make_options(spec, GRID, SMALL | {"searched": 2})
    planned = spec.plan(options, workspace.summarise_data())
    assert {cell.parameters["subject"] for cell in planned if cell.kind == "strong"} == set(
        SUBJECTS
    )
    cells = [cell for cell in planned if is_looked_at(cell)]
    rows = [named(cell, row) for cell in cells for row in perform(cell, workspace)]
    result = {(row["attack"], row["eps"]): row for row in rows}
    ours = {(attack, eps) for attack in ("rejection", "strongest") for eps in (1.0, 5.0)}
    rungs = {(f"rung:{name}", 3.0) for name in ("raw", "hinge", "crowd-0", "crowd-1")}
    assert result.keys() == ours | rungs
    assert {result[where]["n"] for where in result if where[0] != "rejection"} == {2}
    assert {result["rejection", eps]["n"] for eps in (1.0, 5.0)} == {12}
    # which of two images is denser is chance: the best point is kept for its objective
    crowds = [result[f"rung:crowd-{weight}", 3.0]["log_density"] for weight in (0, 1)]
    assert all(-10 < crowd < 0 for crowd in crowds)
    assert crowds[0] != crowds[1]
    frames = [read_rows(study.out), pl.DataFrame(rows, infer_schema_length=None)]
    story = spec.summarise(
        pl.concat(frames, how="diagonal_relaxed"), options, workspace.summarise_data()
    )
    captions = [getattr(b, "caption", "") for section in story.sections for b in section.blocks]
    assert "Accuracy at eps 3 on 2 images" in captions
    assert "Strongest: accuracy on 2 images of the first draw (clean: on 12)" in captions
    assert "Our rejection attack: accuracy on 12 images of the first draw" in captions


def is_looked_at(cell: Cell) -> bool:
    """Choose a few of the dear cells: those of the bare network, and one defence's density."""
    subject, rung = (cell.parameters.get(name) for name in ("subject", "rung"))
    if cell.kind == "crowded":
        return subject == "nr"
    return subject == "none" and (cell.kind == "strong" or rung in ("raw", "hinge"))


def named(cell: Cell, row: Mapping[str, Any]) -> dict[str, Any]:
    kind = {"kind": cell.kind, "repeat": cell.repeat, "cell": cell.hash}
    return kind | dict(cell.parameters) | dict(row)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grid": "theta=0.5,0.9"}, "takes one theta at a time, got 2"),
        ({"grid": "colour=1"}, "unknown parameter of the grid 'colour'"),
    ],
)
def test_bad_input_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        run_study("neural-rejection", tmp_path / "new", **SMALL | change)
    assert not (tmp_path / "new").exists()
