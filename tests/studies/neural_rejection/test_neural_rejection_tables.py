"""Tables and figures of study neural-rejection on rows that are made up, so that they are known."""

from typing import Any

import polars as pl
import pytest

from epsball.studies.neural_rejection.costs import attacking_table, fitting_table, training_table
from epsball.studies.neural_rejection.figures import accuracy_curves, coverage_curves
from epsball.studies.neural_rejection.page import choices
from epsball.studies.neural_rejection.results import Results
from epsball.studies.neural_rejection.tables import (
    base_table,
    density_table,
    findings_table,
    ladder_table,
    source_table,
    verdicts_table,
)


def results(*rows: dict[str, Any]) -> Results:
    return Results(pl.DataFrame([{"repeat": 0, "mode": "x"} | row for row in rows]))


def judged(
    subject: str, attack: str, eps: float, accuracy: float | None, **more: Any
) -> dict[str, Any]:
    kinds = {"strongest": "strong", "rejection": "strong", "limited": "limited"}
    kind = "ladder" if attack.startswith("rung:") else kinds.get(attack, "curve")
    return {
        "kind": kind,
        "subject": subject,
        "attack": attack,
        "eps": eps,
        "eps_asked": eps,
        "n": 100,
        "accuracy": accuracy,
        "rejected": 0.25,
        "backwards": 700,
        "seconds": 3.0,
    } | more


def test_the_lowest_of_each_column_is_marked() -> None:
    table = ladder_table(
        results(
            judged("nr", "rung:hinge", 3.0, 0.8),
            judged("nr", "rung:margin", 3.0, 0.3),
            judged("dnr", "rung:hinge", 3.0, 0.4),
            judged("dnr", "rung:margin", 3.0, 0.6),
        )
    )
    assert table.heads == "attack|#bare network|#NR|#DNR"
    marked = [[isinstance(c, tuple) and c[-1] == "lowest" for c in row[1:]] for row in table.rows]
    assert marked == [[False, False, True], [False, True, False]]
    assert "on 100 images" in table.caption


def test_only_who_rejects_has_a_rejection_rate() -> None:
    table = source_table(
        results(
            *(judged(name, "none", 0.0, 0.9) for name in ("none", "nr")),
            *(judged(name, "source", 2.0, 0.5) for name in ("none", "nr")),
        )
    )
    bare, rejecting = table.rows
    assert table.heads == "defence|#clean|#eps 2"
    assert bare[0] == "bare network"
    assert (len(bare[2]), rejecting[2][2]) == (2, "rejected 25.0 %")


def test_what_the_checks_doubted() -> None:
    result = results(
        judged("nr", "source", 1.0, 0.5),
        judged("nr", "strongest", 1.0, 0.1, findings="masked near-chance", eps_asked=None),
        judged("nr", "strongest", 2.0, 0.2, findings="masked", eps_asked=None),
        judged("dnr", "rejection", 1.0, 0.2, findings=""),
    )
    assert findings_table(result).rows == [
        ["NR", "strongest", "masked"],
        ["NR", "strongest", "near-chance"],
    ]
    assert [row[0] for row in verdicts_table(result, "strongest").rows] == ["NR"]
    assert findings_table(results(judged("nr", "source", 1.0, 0.5))).rows == []


def test_a_blocked_verdict_is_a_dash() -> None:
    result = results(
        judged("nr", "source", 1.0, 0.5),
        judged("nr", "source", 2.0, 0.5),
        judged("nr", "strongest", 1.0, 0.2),
        judged("nr", "strongest", 2.0, None),
    )
    assert verdicts_table(result, "strongest").rows[0][-1] == "\N{EN DASH}"


def test_costs_are_a_cells_seconds_over_its_images() -> None:
    more = {"kind": "curve", "subject": "nr", "mode": "coverage", "eps_asked": 2.0, "seconds": 3.0}
    more |= {"cell": "a", "attack": "rejection:steps=1"}
    clean = judged("nr", "none", 0.0, 0.9, cell="b", backwards=None, seconds=50.0)
    ours = judged("nr", "rejection", 2.0, 0.5, cell="c", backwards=100, seconds=1.0)
    ours |= {"eps_asked": None}  # one cell for all eps
    source = judged("nr", "source", 2.0, 0.5, cell="a")
    table = attacking_table(results(source, more, more, clean, ours))
    dash = "\N{EN DASH}"
    # 700 gradients and 3 + 3 + 3 seconds for 100 images
    assert table.rows == [["NR", "7.0", "90.0", "1.0", "10.0", dash, dash]]


def test_training_is_set_against_plain_training() -> None:
    nets = [("base", 300), ("pgd", 2400)]
    rows = [
        {
            "kind": "train",
            "net": net,
            "epochs_run": 3,
            "gradient_evaluations": count,
            "training_seconds": 12.0,
            "train_eps": 2.0,
        }
        for net, count in nets
    ]
    result = results(*rows)
    assert [row[3] for row in training_table(result).rows] == ["1.0", "8.0"]
    assert choices(result)["pgd"]["steps"] == "7"


def test_fits_that_share_their_machines_are_told_apart_by_the_combiner() -> None:
    shared = {
        "kind": "fit",
        "n": 9,
        "support_vectors": "1000 7",
        "learned_numbers": 1,
        "peak_gigabytes": 1.0,
        "torch_threads": 1,
    }
    table = fitting_table(
        results(
            shared | {"fit": "nr", "combiner": None, "fit_seconds": 1.0},
            shared | {"fit": "dnr", "combiner": "in-sample", "fit_seconds": 2.0},
            shared | {"fit": "dnr", "combiner": "out-of-fold", "fit_seconds": 3.0},
        )
    )
    result = [(row[0], row[2], row[3]) for row in table.rows]
    assert result == [
        ("NR", "1.0", "1,000, 7"),
        ("DNR", "2.0", "1,000, 7"),
        ("DNR, combiner out of fold", "3.0", "1,000, 7"),
    ]


def test_base_networks_stand_beside_the_source() -> None:
    train = {"kind": "train", "net": "source", "train_loss": 2.3, "train_accuracy": 0.11}
    train |= {"train_lr": 0.1}
    test = {"kind": "losses", "net": "source", "split": "test", "loss": 2.25, "accuracy": 0.1}
    table = base_table(results(train, test, train | {"repeat": 1, "train_loss": 0.5}))
    dash = "\N{EN DASH}"
    assert [list(row) for row in table.rows] == [
        ["as in the source, lr 0.1", "2.3000", "11.00 %", dash, dash, "2.2500", "10.00 %"],
        ["the source reports", "0.0684", "98.24 %", dash, dash, "0.0462", "98.95 %"],
    ]


def test_density_stands_beside_accuracy() -> None:
    rows = [judged("nr", f"rung:crowd-{w}", 3.0, 0.5, log_density=-10.0 + w) for w in (0, 1)]
    line = density_table(results(*rows)).rows[0]
    assert (line[0], line[2], line[4]) == ("NR", "-10.000", "-9.000")


def test_the_strongest_curve_begins_with_the_first_draw() -> None:
    result = results(
        judged("nr", "none", 0.0, 0.9),
        judged("nr", "none", 0.0, 0.8, repeat=1),
        judged("nr", "source", 1.0, 0.6),
        judged("nr", "source", 1.0, 0.5, repeat=1),
        judged("nr", "strongest", 1.0, 0.2),
        judged("dnr", "none", 0.0, 0.9),
    )
    drawn = [(p["series"], p["panel"], p["x"], p["y"]) for p in accuracy_curves(result).points]
    assert drawn == [
        ("NR", "the source's attack", 0.0, pytest.approx(0.85)),
        ("NR", "the source's attack", 1.0, pytest.approx(0.55)),
        ("NR", "strongest, 100 images", 0.0, 0.9),
        ("NR", "strongest, 100 images", 1.0, 0.2),
    ]


def test_coverage_is_drawn_clean_and_at_the_middle_eps() -> None:
    part = {"kind": "curve", "subject": "nr", "mode": "coverage", "accepted_accuracy": 0.7}
    rows = [part | {"at_eps": e, "eps_asked": e, "coverage": 0.5} for e in (0.0, 1.0, 3.0)]
    harvest = {"kind": "harvest", "eps_asked": 3.0, "subject": "none"}
    drawn = coverage_curves(results(*rows, harvest)).points
    assert [p["panel"] for p in drawn] == ["clean images", "eps 3, the source's attack"]


def test_nothing_was_measured() -> None:
    empty = Results(pl.DataFrame())
    tables = (source_table, ladder_table, density_table, base_table, findings_table)
    assert not verdicts_table(empty, "rejection").rows
    assert not any(table(empty).rows for table in tables)
    assert not accuracy_curves(empty).points
