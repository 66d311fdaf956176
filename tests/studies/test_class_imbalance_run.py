"""Study class-imbalance, small, from the command line to its page."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from epsball.cli.app import app
from epsball.errors import InvalidInput
from epsball.studies import read_rows, run_study
from epsball.studies.class_imbalance.coding import named_counts, read_mask
from epsball.studies.class_imbalance.works import UnitLogits

SMALL = {
    "grid": "part=source,dose;dose=5;training=ordinary;probed=1",
    "schedule": "fast",
    "data": "digits",
    "classes": "3",
    "limit": 40,
    "train-limit": 200,
    "epochs": 1,
}
WITHOUT_SCHEDULE = {k.replace("-", "_"): v for k, v in SMALL.items() if k != "schedule"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "out"
    flags = [f for k, v in SMALL.items() for f in (f"--{k}", str(v))]
    options = ["study", "class-imbalance", "--out", str(out), *flags]
    result = CliRunner().invoke(app, options, catch_exceptions=False)
    assert result.exit_code == 0
    return out


def test_every_network_has_its_training_set_and_as_many_updates(done: Path) -> None:
    nets = read_rows(done).filter(kind="train").to_dicts()
    counts = {net["set"]: [int(c) for c in net["class_counts"].split()] for net in nets}
    whole = counts["balanced"]
    fifth = [round(count / 5) for count in whole]
    assert counts["under"] == whole[:3] + fifth[3:4] + whole[4:]
    assert counts["over"] == fifth[:3] + whole[3:4] + fifth[4:]
    epochs = {net["set"]: net["epochs_run"] for net in nets}
    longer = {kind: round(sum(whole) / sum(one)) for kind, one in counts.items()}
    assert epochs == longer
    assert longer["over"] >= 3


def test_attacks_follow_both_gradients_and_only_the_target_class(done: Path) -> None:
    rows = read_rows(done).filter(mode="judged", attack="fgsm")
    result = {(r["set"], r["gradient"]) for r in rows.to_dicts() if r["label"] == "3"}
    sets = {("under", "same"), ("under", "different"), ("over", "same"), ("over", "different")}
    assert result == {("balanced", "same"), *sets}
    assert set(rows.filter(pl.col("set") != "balanced")["label"]) == {"3"}
    assert rows.filter(set="balanced")["label"].n_unique() == 10


def test_counts_add_up(done: Path) -> None:
    rows = read_rows(done).filter(pl.col("named").is_not_null()).to_dicts()
    for row in rows:
        assert sum(named_counts(row["named"])) == row["n"]
    probed = read_rows(done).filter(pl.col("safe_mask").is_not_null()).to_dicts()
    assert {row["role"] for row in probed} == {"reference", "target", "control"}
    for row in probed:
        right, safe = (read_mask(row[name], row["n"]) for name in ("right_mask", "safe_mask"))
        assert not (safe & ~right).any()


def test_the_page_names_all_claims_and_what_decides_nothing(done: Path) -> None:
    summary = json.loads((done / "summary.json").read_text())
    assert len(summary["claims"]) == 70
    assert summary["verdicts"] == {"undecided": 4, "not run": 66}
    page = next(done.glob("*.md")).read_text()
    assert "Table 6.1" in page
    assert "thesis 36.0 %" not in page  # digits have no airplanes


def test_going_on_repeats_nothing_and_another_plan_is_refused(done: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in (done / "rows").iterdir()}
    grid = dict(WITHOUT_SCHEDULE)
    run_study("class-imbalance", done, **grid)  # type: ignore[arg-type]
    assert {file: file.stat().st_mtime_ns for file in (done / "rows").iterdir()} == before
    with pytest.raises(InvalidInput, match="train_limit"):
        run_study("class-imbalance", done, **grid | {"train_limit": 100})  # type: ignore[arg-type]


def test_a_class_that_does_not_exist_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown class 'cat'"):
        run_study("class-imbalance", tmp_path / "out", data="digits", classes="cat")
    assert not (tmp_path / "out").exists()


def test_a_folder_is_refused_where_its_halves_are_one(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(3):
            pixels = np.full((28, 28), 40 * i, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    with pytest.raises(InvalidInput, match="these training and test images are the same"):
        run_study("class-imbalance", tmp_path / "out", data=f"folder:{tmp_path / 'data'}")


def test_logits_of_one_scale_give_the_same_answers_with_a_spread_of_one() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    images = torch.rand(20, 1, 2, 2)
    unit = UnitLogits(net, images)
    with torch.no_grad():
        assert torch.equal(unit(images).argmax(1), net(images).argmax(1))
        assert float(unit(images).std(1).mean()) == pytest.approx(1, rel=1e-5)
