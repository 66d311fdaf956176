"""Study adversarial-training, as small as it goes, to its pages."""

from pathlib import Path

import pytest

from epsball.report import write_study, write_study_page
from epsball.studies import StudyResult, read_rows, run_study

pytestmark = pytest.mark.slow  # both tests share one study of half a minute

SMALL = {
    "grid": "row=none,fgsm-only,ensemble;eps=0.05",
    "data": "digits",
    "seeds": 1,
    "limit": 40,
    "train_limit": 256,
    "searched": 0,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """A finished study."""
    return run_study("adversarial-training", tmp_path_factory.mktemp("study"), **SMALL)  # type: ignore[arg-type]  # values of several types


def test_rows(done: StudyResult) -> None:
    rows = read_rows(done.out)
    nets = rows.filter(kind="train").drop_nulls("gradient_evaluations")
    assert set(nets["row"]) == {"none", "fgsm-only", "ensemble", "held-out", "source-0", "source-1"}
    cost = dict(nets.select("row", "gradient_evaluations").iter_rows())
    assert cost["none"] == 2 * 256
    assert cost["fgsm-only"] == 2 * cost["none"]  # the watch is not counted
    assert cost["ensemble"] == 3 * cost["none"]
    watched = rows.filter(mode="epoch")
    assert set(watched["row"]) == {"fgsm-only", "ensemble"}
    assert watched.filter(row="ensemble")["epoch"].to_list() == [1, 2]
    moved = rows.filter(kind="transfer")
    assert set(moved["attack"]) == {"transfer:fgsm", "transfer:mifgsm"}
    assert set(moved["n"]) == {40}


def test_story_and_pages(done: StudyResult) -> None:
    assert len(done.claims) == 12
    assert {claim["verdict"] for claim in done.claims} <= {"holds", "undecided", "not run"}
    page = write_study(done.out).read_text()
    for key in ("figure-overfitting", "figure-leaking", "figure-slopes"):
        assert f'id="{key}"' in page
    text = Path(write_study_page(done.out)).read_text()
    assert "| FGSM examples only |" in text
