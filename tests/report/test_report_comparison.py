"""The comparison page: two models on the same images."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tests.report.reading import read_page

from epsball.errors import InvalidInput
from epsball.report import write_comparison
from epsball.report.comparison.page import answer, telling_row
from epsball.report.comparison.rivals import part_frame


def test_the_page_sets_two_models_side_by_side(
    comparison_page: Path, comparison: dict[str, Any], digits: Path, sturdy: Path
) -> None:
    read = read_page(comparison_page.read_text(encoding="utf-8"))
    sections = ["answer", "curve", "differences", "classes", "reproduce"]
    assert read.having("section", "id") == sections
    for run in (digits, sturdy):
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        assert summary["headline"] in read.text
    specs = json.loads(read.scripts[0])
    assert sorted(specs) == ["parting", "rivals-linf"]
    curve = specs["rivals-linf"]["wide"]
    series = {point["series"] for rows in curve["datasets"].values() for point in rows}
    assert series == {f"{side} {name}" for side in "AB" for name in ("noise", "fgsm", "pgd")}
    assert read.text.count("95 % intervals") >= 2
    assert "sturdy-cnn" in read.text


def test_the_answer_speaks_of_the_strongest_attack(comparison: dict[str, Any]) -> None:
    row = telling_row(comparison["rows"])
    assert row is not None
    assert row["variant"] == "pgd"
    sentence = answer(row, 400).replace("\u00a0", " ")
    assert f"A gets at most {100 * row['accuracy_a']:.1f} %" in sentence
    assert "more than chance" in sentence


def test_a_difference_that_may_be_chance_is_called_so() -> None:
    row = {"variant": "pgd", "norm": "linf", "eps": 0.1, "accuracy_a": 0.5, "accuracy_b": 0.51}
    assert "not shown to be more than chance" in answer(row | {"p_value": 0.4}, 100)
    assert "chance" not in answer(row | {"p_value": None}, 100)


def test_without_rates_nothing_is_compared(
    digits: Path, blocked: Path, comparison: dict[str, Any], tmp_path: Path
) -> None:
    silent = copy.deepcopy(comparison)
    for entry in (*silent["rows"], *silent["per_class"]):
        entry |= dict.fromkeys(("accuracy_a", "accuracy_b", "ci_a", "ci_b", "p_value", "p_holm"))
    page = write_comparison([digits, blocked], silent, tmp_path / "two.html")
    assert page == tmp_path / "two.html"
    text = read_page(page.read_text(encoding="utf-8")).text
    assert "No comparison is printed" in text
    assert text.count("Withheld") == 2


def test_the_same_runs_give_the_same_bytes(
    comparison_page: Path, comparison: dict[str, Any], digits: Path, sturdy: Path
) -> None:
    before = comparison_page.read_bytes()
    assert write_comparison([digits, sturdy], comparison, comparison_page.parent) == comparison_page
    assert comparison_page.read_bytes() == before


def test_classes_that_differ_most_come_first(comparison: dict[str, Any]) -> None:
    row = telling_row(comparison["rows"])
    assert row is not None
    entries = [
        entry
        for entry in comparison["per_class"]
        if (entry["variant"], entry["eps"]) == (row["variant"], row["eps"])
    ]
    frame = part_frame(entries)
    gaps = (frame["b"] - frame["a"]).abs().to_list()
    assert gaps == sorted(gaps, reverse=True)
    assert len(frame) == 10


def test_two_models_of_one_name_are_told_apart_by_their_directories(
    digits: Path, comparison: dict[str, Any], tmp_path: Path
) -> None:
    twins = comparison | {side: {"name": "cnn", "dir": f"runs/{side}"} for side in "ab"}
    page = write_comparison([digits, digits], twins, tmp_path)
    assert "cnn (runs/a) or cnn (runs/b)?" in read_page(page.read_text(encoding="utf-8")).text


def test_one_run_is_not_enough(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="needs two runs, got 1"):
        write_comparison([digits], {}, tmp_path)
