"""The figures: right numbers in, valid specifications out."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from epsball.report.audit.classes import ALL, GAP, class_figure, class_frame, class_order
from epsball.report.audit.confusion import confusion_figure, confusion_frame
from epsball.report.audit.cost import cost_figure
from epsball.report.audit.curve import WORST, curve_figure, curve_frame
from epsball.report.audit.run import Run, load_run, setting_of, strongest, telling
from epsball.report.audit.sizes import size_figure, size_frame
from epsball.report.comparison.duels import duel_figure
from epsball.report.drawing.figure import NARROW, WIDE, Figure
from epsball.report.drawing.matrix import draw_matrices
from epsball.report.drawing.strips import image_strips

FAMILIES: dict[str, Callable[[Run], Figure | None]] = {
    "curve": lambda run: curve_figure(run, "linf"),
    "classes": lambda run: class_figure(run, "linf"),
    "confusion": lambda run: confusion_figure(run, "linf"),
    "sizes": size_figure,
    "cost": cost_figure,
    "duels": duel_figure,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_specifications_are_valid(family: str, digits: Path) -> None:
    figure = FAMILIES[family](load_run(digits))
    assert figure is not None
    figure.draw(NARROW).to_dict()  # checks against the Vega-Lite schema


@pytest.mark.parametrize("name", ["single", "thousand"])
@pytest.mark.parametrize("family", FAMILIES)
def test_figures_fit_and_their_tables_are_whole(
    name: str, family: str, request: pytest.FixtureRequest
) -> None:
    figure = FAMILIES[family](load_run(request.getfixturevalue(name)))
    assert figure is not None
    assert figure.table.rows
    assert {len(row) for row in figure.table.rows} == {len(figure.table.heads)}
    for width in (WIDE, NARROW):
        svg = str(figure.still(width))
        assert "NaN" not in svg
        assert float(svg.split('width="')[1].split('"')[0]) <= width * 1.2


def test_the_curve_starts_clean_and_holds_the_worst_case(digits: Path) -> None:
    run = load_run(digits)
    frame = curve_frame(run, "linf").filter(panel="accuracy")
    starts = frame.filter(eps=0.0)
    assert set(starts["series"]) == {"noise", "fgsm", "pgd", WORST}
    assert starts["value"].unique().to_list() == [run.summary["clean"]["accuracy"]]
    last = run.summary["worst_case"][-1]
    worst = frame.filter(series=WORST, eps=last["eps"]).row(0, named=True)
    assert [worst["value"], worst["low"], worst["high"]] == [
        last["robust_accuracy"],
        *last["robust_accuracy_ci"],
    ]


def test_one_attack_needs_no_worst_case(digits: Path) -> None:
    run = load_run(digits)
    run.summary["results"] = [r for r in run.results if r["variant"] == "pgd"]
    assert set(curve_frame(run, "linf")["series"]) == {"pgd"}


def test_the_strongest_attack_is_the_one_that_leaves_least(digits: Path) -> None:
    run = load_run(digits)
    settings = [setting_of(result) for result in run.results]
    chosen = strongest(run, settings)
    assert [(s.variant, s.eps) for s in chosen] == [("pgd", 0.05), ("pgd", 0.1), ("pgd", 0.2)]
    assert telling(run, chosen).eps == 0.1


def test_classes_are_ordered_by_what_they_lost(digits: Path) -> None:
    run = load_run(digits)
    entries = run.summary["per_class"]
    settings = strongest(run, [setting_of(result) for result in run.results])
    frame = class_frame(run, entries, settings)
    order = class_order(frame, 0.1)
    lost = {
        r["name"]: r["clean"] - r["robust"] for r in frame.filter(eps=0.1).iter_rows(named=True)
    }
    assert sorted(order) == sorted(run.short)
    assert [lost[name] for name in order] == sorted(lost.values(), reverse=True)


def test_of_many_classes_both_ends_are_shown_and_all_are_listed(thousand: Path) -> None:
    figure = class_figure(load_run(thousand), "linf")
    assert figure is not None
    assert len(figure.table.rows) == 80
    domain = figure.spec(WIDE)["hconcat"][0]["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert len(domain) == ALL + 1
    assert domain[10] == GAP
    assert "fewer than 10 images" in figure.caption


def test_confusion_keeps_every_image_and_the_reject_column(rejecting: Path) -> None:
    run = load_run(rejecting)
    confusion = run.summary["confusion"]
    frame = confusion_frame(run, confusion["clean"], confusion["attacked"][-1]["cells"])
    assert frame["before"].sum() == frame["after"].sum() == run.summary["clean"]["n"]
    assert "reject" in frame["said"]
    assert "reject" not in frame["true"]
    sums = frame.group_by("true").agg(pl.col("clean", "attacked", "change").sum())
    assert sums["clean"].to_list() == pytest.approx([1.0] * 10)
    assert sums["attacked"].to_list() == pytest.approx([1.0] * 10)
    assert sums["change"].to_list() == pytest.approx([0.0] * 10)


@pytest.mark.parametrize("classes", [2, 11, 20])
def test_matrices_fit_for_any_number_of_classes(classes: int) -> None:
    names = [f"class number {i}" for i in range(classes)]
    frame = pl.DataFrame(
        {
            "true": names,
            "said": names[::-1],
            "before": [3] * classes,
            "after": [4] * classes,
            "clean": [0.3] * classes,
            "attacked": [0.4] * classes,
            "change": [0.1] * classes,
        }
    )
    for width, panels in ((WIDE, "hconcat"), (NARROW, "vconcat")):
        spec = draw_matrices(frame, names, classes, width).to_dict()
        steps = {panel["width"]["step"] for panel in spec[panels]}
        assert len(steps) == 1
        assert 8 <= steps.pop() <= 44


def test_sizes_leave_out_what_early_stopping_left_unknown(digits: Path) -> None:
    run = load_run(digits)
    unknown = pl.DataFrame(
        {"variant": ["pgd"], "norm": ["linf"], "eps": [0.1]}
        | {m: pl.Series([None], dtype=pl.Float64) for m in ("l0", "l1", "l2")}
        | {"linf": [0.1]}
    )
    frame = size_frame(run, unknown)
    assert frame["measure"].to_list() == ["linf"]
    assert frame["middle"].to_list() == [0.1]


def test_strips_show_the_strongest_attack_first_and_one_that_held(digits: Path) -> None:
    strips = image_strips(load_run(digits))
    assert [strip.attack for strip in strips] == ["pgd, linf"] * 6 + ["noise, linf", "fgsm, linf"]
    verdicts = [strip.tiles[-1].verdict for strip in strips[:6]]
    assert verdicts == ["fooled"] * 5 + ["held"]
    assert [tile.head for tile in strips[0].tiles] == ["original", "eps 0.05", "eps 0.1", "eps 0.2"]
    assert [tile.factor for tile in strips[0].tiles] == [0, 10, 5, 2]
    assert all(tile.said and tile.confidence for strip in strips for tile in strip.tiles)


def test_images_stop_before_the_page_grows_too_large(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(digits)
    whole = image_strips(run)
    sizes = [sum(len(t.image) + len(t.perturbation) for t in strip.tiles) for strip in whole]
    monkeypatch.setattr("epsball.report.drawing.strips._BYTES", sizes[0] + sizes[1])
    assert image_strips(run) == whole[:2]
    monkeypatch.setattr("epsball.report.drawing.strips._BYTES", 1)
    assert image_strips(run) == whole[:1]


def test_the_reading_of_a_duel_needs_a_small_p(digits: Path) -> None:
    run = load_run(digits)
    duel = {"a": "fgsm", "b": "pgd", "norm": "linf", "eps": 0.1, "p_value": 0.01}
    run.summary["comparisons"] = [
        duel | {"only_a": 1, "only_b": 9, "p_holm": 0.04},
        duel | {"only_a": 9, "only_b": 1, "p_holm": 0.04},
        duel | {"only_a": 9, "only_b": 1, "p_holm": 0.06},
    ]
    figure = duel_figure(run)
    assert figure is not None
    readings = [row[-1] for row in figure.table.rows]
    assert readings == ["pgd fools more", "fgsm fools more", "no difference shown"]


def test_a_rejecting_model_is_quoted_as_rejecting(rejecting: Path) -> None:
    verdicts = {t.verdict for strip in image_strips(load_run(rejecting)) for t in strip.tiles}
    assert {"rejected", "held", "fooled"} <= verdicts
