"""Study `substitute`: its plan, its work on few images, and verdicts on made-up rows."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from epsball.errors import InvalidInput
from epsball.report import write_study
from epsball.studies import run_study
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.substitute.claims import Shares, judge
from epsball.studies.substitute.page import summarise
from epsball.studies.substitute.plan import ORACLES, QUERIES, plan

MNIST = DataSummary("mnist", "x", 60_000, 10_000, (1, 28, 28), 10)


def rows_of(**wrong: float) -> pl.DataFrame:
    """Make the rows of a study; each oracle's share is the same at all numbers of queries."""
    rows = []
    for oracle in ORACLES:
        for queries in QUERIES:
            for how in ("substitute", "momentum", "square", "hopskipjump"):
                share = wrong.get(oracle, 0.5)
                rows.append(
                    {
                        "mode": "fooled", "kind": "substitute", "oracle": oracle, "repeat": 0,
                        "queries": queries, "how": how, "n": 1000, "wrong": round(1000 * share),
                        "clean_right": 900, "fooled": round(900 * share), "agree": 950,
                    }
                )  # fmt: skip
    return pl.DataFrame(rows)


def verdicts(frame: pl.DataFrame) -> dict[str, str]:
    return {v.id.partition(".")[2]: v.verdict for v in judge(Shares(frame))}


def test_a_value_of_a_stand_in_decides_nothing_and_is_shown() -> None:
    result = {v.id.partition(".")[2]: v for v in judge(Shares(rows_of(dnn=0.8424, lr=0.5)))}
    for platform, share in (("metamind", 0.842), ("amazon", 0.5), ("google", 0.5)):
        assert result[platform].verdict == "undecided"
        assert result[platform].value == pytest.approx(share)
        assert "stands in" in result[platform].differs[0]


def test_networks_that_need_more_queries_are_fooled_less_at_first() -> None:
    assert verdicts(rows_of(dnn=0.4, lr=0.9, svm=0.8))["dnn-queries"] == "holds"
    assert verdicts(rows_of(dnn=0.85, lr=0.9, svm=0.8))["dnn-queries"] == "refuted"


def test_what_was_not_run_is_said() -> None:
    few = rows_of().filter(pl.col("oracle") != "svm")
    judged = verdicts(few)
    assert judged["google"] == judged["dnn-queries"] == "not run"
    assert set(verdicts(pl.DataFrame({"mode": ["x"]})).values()) == {"not run"}


def test_the_page_is_written_from_rows_alone() -> None:
    story = summarise(rows_of(dnn=0.9), Options(seeds=1), MNIST)
    assert "After 6,400 queries, the network misclassifies 90.0 %" in story.answer
    curves: Any = story.sections[0].blocks[0]
    assert len(curves.points) == 36
    table: Any = story.sections[0].blocks[1]
    assert [row[1] for row in table.rows[:3]] == ["800", "2,000", "6,400"]


def test_questions_that_are_attacks_stand_beside_the_source_and_decide_no_claim() -> None:
    source = rows_of(dnn=0.2)
    attacks = rows_of(dnn=0.9).with_columns(questions=pl.lit("attacks"))
    both = pl.concat([source, attacks], how="diagonal")
    assert [v.value for v in judge(Shares(both))] == [v.value for v in judge(Shares(source))]
    story = summarise(both, Options(seeds=1), MNIST)
    assert "attacks on the substitute, it is 90.0 %" in story.answer
    table: Any = story.sections[0].blocks[1]
    assert [row[2] for row in table.rows[:2]] == ["jacobian", "attacks"]


def test_the_plan() -> None:
    cells = plan(Options(seeds=2), MNIST)
    assert [cell.kind for cell in cells].count("train") == 6
    assert [cell.kind for cell in cells].count("substitute") == 36


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"oracle": ("dnm",)}, "oracle must be among"),
        ({"queries": (100,)}, "at least the 150 seed images"),
        ({"questions": ("attack",)}, "attacks"),
        ({"eps": (0.0,)}, "above 0"),
        ({"eps": (0.1, 0.3)}, "one value of eps"),
    ],
)
def test_bad_plans(grid: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        plan(Options(seeds=1, grid=grid), MNIST)


def test_a_small_run_spends_its_queries_exactly(tmp_path: Path) -> None:
    run_study(
        "substitute", tmp_path, data="digits", limit=40, train_limit=200,
        grid="oracle=lr;queries=60;seed_images=40;substitute_epochs=1;direct_images=5",
    )  # fmt: skip
    frame = pl.read_parquet(tmp_path / "rows.parquet").filter(pl.col("mode") == "fooled")
    source = frame.filter(pl.col("questions").is_null())
    assert source["how"].to_list() == ["substitute", "momentum", "square", "hopskipjump"]
    assert source["n"].to_list() == [40, 40, 5, 5]
    attacks = frame.filter(pl.col("questions") == "attacks")
    assert attacks["how"].to_list() == ["substitute", "momentum"]
    assert frame["spent"].drop_nulls().to_list() == [60] * 4
    assert all(one <= 60 for one in frame["asked"])
    assert 'id="figure-queries"' in write_study(tmp_path).read_text()
