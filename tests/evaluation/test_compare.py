"""Two runs on the same images, against counting by hand."""

from pathlib import Path

import pytest
import torch
from tests.evaluation.conftest import CLASSES, fit
from torch import Tensor, nn

from epsball import audit
from epsball.errors import InvalidInput
from epsball.evaluation.metrics.compare import compare
from epsball.evaluation.metrics.ranking import rank
from epsball.evaluation.metrics.statistics import holm, mcnemar


@pytest.fixture
def runs(model: nn.Module, data: tuple[Tensor, Tensor], tmp_path: Path) -> tuple[Path, Path]:
    torch.manual_seed(4)
    other = fit(nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES)))
    for name, one in (("a", model), ("b", other)):
        audit(one, data, attacks=["fgsm", "noise"], eps=[0.1, 0.2], out=tmp_path / name)
    return tmp_path / "a", tmp_path / "b"


def test_rows_by_hand(runs: tuple[Path, Path]) -> None:
    from epsball.evaluation.records.schema import read_records

    compared = compare(*runs)
    frames = [read_records(run).sort("variant", "eps", "index") for run in runs]
    for row in compared["rows"]:
        if row["variant"] == "clean":
            parts = [f.unique("index").sort("index") for f in frames]
            right = [p["clean_prediction"] == p["label"] for p in parts]
        else:
            parts = [f.filter(variant=row["variant"], eps=row["eps"]) for f in frames]
            right = [p["safe"] for p in parts]
        only_a = int((right[0] & ~right[1]).sum())
        only_b = int((~right[0] & right[1]).sum())
        assert (row["only_a_right"], row["only_b_right"]) == (only_a, only_b)
        assert row["p_value"] == mcnemar(only_a, only_b)
        assert row["accuracy_a"] == right[0].mean()
    assert len(compared["rows"]) == 1 + 2 * 2


def test_classes_are_corrected_together(runs: tuple[Path, Path]) -> None:
    compared = compare(*runs)
    rows = [r for r in compared["per_class"] if r["variant"] == "fgsm" and r["eps"] == 0.2]
    assert [r["class"] for r in rows] == list(range(CLASSES))
    assert [r["p_holm"] for r in rows] == holm([r["p_value"] for r in rows])


def test_other_order_other_sign(runs: tuple[Path, Path]) -> None:
    one, two = compare(*runs), compare(*reversed(runs))
    for a, b in zip(one["rows"], two["rows"], strict=True):
        assert a["only_a_right"] == b["only_b_right"]
        assert a["p_value"] == b["p_value"]


def test_nothing_in_common(
    runs: tuple[Path, Path], model: nn.Module, data: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    audit(model, data, attacks=["bim"], eps=[0.3], out=tmp_path / "c")
    with pytest.raises(InvalidInput, match="cannot be compared"):
        compare(runs[0], tmp_path / "c")


def test_a_blocked_run_is_refused(
    runs: tuple[Path, Path], model: nn.Module, data: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    model.train()
    try:
        audit(model, data, attacks=["fgsm"], eps=[0.1], out=tmp_path / "blocked")
    finally:
        model.eval()
    with pytest.raises(InvalidInput, match=r"blocking finding \(train-mode\)"):
        compare(runs[0], tmp_path / "blocked")


def test_attacks_of_one_name_must_be_one_attack(
    model: nn.Module, data: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    for steps in (2, 3):
        out = tmp_path / str(steps)
        audit(model, data, attacks=["pgd"], eps=[0.1], steps=steps, out=out)
    with pytest.raises(InvalidInput, match="pgd has steps 2 in one and 3 in the other"):
        compare(tmp_path / "2", tmp_path / "3")


def test_several_runs_are_ranked_at_the_strongest_attack(
    runs: tuple[Path, Path], data: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    torch.manual_seed(5)
    third = fit(nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES)))
    audit(third, data, attacks=["fgsm", "noise"], eps=[0.1, 0.2], out=tmp_path / "c")
    three = [*runs, tmp_path / "c"]
    ranked = rank(three)
    result = ranked["of"]
    assert result["variant"] == "fgsm"
    assert [run["dir"] for run in ranked["runs"]] == [str(run) for run in three]
    accuracies = [result["accuracies"][at] for at in ranked["order"]]
    assert accuracies == sorted(accuracies)
    pairs = [(duel["a"], duel["b"]) for duel in ranked["pairs"]]
    assert pairs == [(0, 1), (0, 2), (1, 2)]
    for duel in ranked["pairs"]:
        compared = compare(three[duel["a"]], three[duel["b"]])
        (row,) = [
            r for r in compared["rows"] if (r["variant"], r["eps"]) == ("fgsm", result["eps"])
        ]
        assert duel["p_value"] == row["p_value"]
        assert row["accuracy_a"] == result["accuracies"][duel["a"]]
        assert row["accuracy_b"] == result["accuracies"][duel["b"]]
    assert [d["p_holm"] for d in ranked["pairs"]] == holm([d["p_value"] for d in ranked["pairs"]])
    assert len(ranked["rows"]) == 1 + 2 * 2
