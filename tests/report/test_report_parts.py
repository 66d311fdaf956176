"""The small parts: numbers, colours, pixels, names, escaping."""

import doctest
import importlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epsball.errors import InvalidInput
from epsball.files import write_bytes
from epsball.report.audit import curve, run
from epsball.report.drawing import document, figure, numbers, palette, pixels

MODULES = ("", *(f".drawing.{name}" for name in ("numbers", "document", "figure", "table")))


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"epsball.report{name}"))
    assert result.attempted > 0
    assert result.failed == 0


@given(st.integers(1, 255))
def test_fractions_of_255_are_printed_as_such_or_exactly(steps: int) -> None:
    text = numbers.distance(steps / 255)
    value = steps / 255 if text == f"{steps}/255" else float(text)
    assert value == steps / 255


def test_an_eps_that_is_no_fraction_stays_decimal() -> None:
    assert [numbers.distance(eps) for eps in (0.031, 0.3, 0.5, 2.0, 1e-6)] == [
        "0.031",
        "0.3",
        "0.5",
        "2",
        "1e-06",
    ]


def test_what_is_not_known_is_a_dash_never_a_zero() -> None:
    printers = (numbers.percent, numbers.interval, numbers.points, numbers.count, numbers.size)
    assert {printer(None) for printer in printers} == {numbers.MISSING}
    assert numbers.probability(None) == numbers.duration(None) == numbers.MISSING
    assert numbers.probability(0.0) == "< 0.001"


@given(st.integers(0, 10_000_000))
def test_whole_ticks_are_few_and_within(top: int) -> None:
    ticks = numbers.whole_ticks(top)
    assert ticks[0] == 0
    assert ticks[-1] <= top
    assert len(ticks) <= 6


@given(st.lists(st.floats(0, 1), max_size=9), st.floats(0.01, 0.2))
def test_labels_are_apart_and_in_order(values: list[float], gap: float) -> None:
    placed = curve.spread(values, gap)
    ranked = sorted(placed)
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(ranked))
    for (a, x), (b, y) in itertools.combinations(zip(values, placed, strict=True), 2):
        assert a >= b or x < y
    if values and min(np.diff(sorted(values)), default=1) > gap:
        assert placed == pytest.approx(values)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ink", [palette.INK, palette.SOFT, *palette.SERIES])
def test_every_ink_reads_as_text_on_both_papers(ink: palette.Ink) -> None:
    assert _contrast(ink.light, palette.PAPER.light) >= 4.5
    assert _contrast(ink.dark, palette.PAPER.dark) >= 4.5


def test_a_light_colour_has_one_dark_partner() -> None:
    inks = [palette.PAPER, palette.INK, palette.SOFT, palette.RULE, palette.FILL, *palette.SERIES]
    assert len({ink.light for ink in inks}) == len(inks)


def test_controls_are_grey_and_take_no_colour_from_attacks() -> None:
    with_noise = palette.series_colours(["noise", "pgd"], controls=["noise"])
    assert with_noise == [palette.SOFT.light, *palette.series_colours(["pgd"])]
    assert len(set(palette.series_colours([str(i) for i in range(8)]))) == 8
    assert len(palette.series_colours([str(i) for i in range(20)])) == 20


@pytest.mark.parametrize(
    ("eps", "factor"), [(0.1, 5), (0.05, 10), (0.3, 1), (8 / 255, 10), (1 / 255, 100), (1.0, 1)]
)
def test_a_perturbation_is_magnified_by_a_round_factor(eps: float, factor: int) -> None:
    signs = np.array([[[-1, 1], [0, 1]]], np.float32)
    shown, used = pixels.magnify((eps * signs).astype(np.float32))
    assert used == factor
    assert shown.min() >= 0
    assert shown.max() <= 1
    if eps < 1:  # symmetric about mid-grey, which stands for no change
        assert np.allclose(shown + shown[:, ::-1, ::-1][:, ::-1, ::-1], 2 * shown)
        assert np.allclose(shown - 0.5, factor * eps * signs, atol=1e-4)


def test_no_change_is_mid_grey() -> None:
    shown, _ = pixels.magnify(np.zeros((3, 2, 2), np.float32))
    assert (shown == 0.5).all()


@pytest.mark.parametrize(
    ("shape", "kind"), [((1, 28, 28), "png"), ((2, 9, 9), "png"), ((4, 300, 224), "webp")]
)
def test_images_of_any_channels_become_data_addresses(
    shape: tuple[int, int, int], kind: str
) -> None:
    address = pixels.data_address(np.full(shape, 0.25, np.float32))
    assert address.startswith(f"data:image/{kind};base64,")


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_inline_json_is_the_same_value_and_holds_no_markup(value: object) -> None:
    text = str(figure.inline_json(value))
    assert json.loads(text) == value
    assert not set("<>&") & set(text)


def test_names_are_unique_even_when_cut() -> None:
    names = run.unique_names(["crane", "crane", "dog"])
    assert names == ["crane (0)", "crane (1)", "dog"]


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "new" / "page.html"
    assert write_bytes(target, b"one").read_bytes() == b"one"
    assert write_bytes(target, b"two").read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["page.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"cannot write .*page\.html"):
        write_bytes(tmp_path / "file" / "page.html", b"")


def test_the_script_of_a_page_is_bundled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle = document._script.__wrapped__()
    (file,) = tmp_path.rglob("vega-*.js")
    assert file.read_text(encoding="utf-8") == bundle
    assert "</script" not in bundle
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "</script>again")
    assert document._script.__wrapped__() == bundle
    file.unlink()
    file.mkdir()  # a place that can be neither read nor written
    assert document._script.__wrapped__() == "<\\/script>again"
