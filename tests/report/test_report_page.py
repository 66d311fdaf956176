"""The report page: what it says, in which order, and that nothing can get in or out of it."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.report.fake_plans import VILLAIN
from tests.report.reading import Read, read_page

from epsball.errors import InvalidInput
from epsball.report import write_report

ORDER = [
    "answer",
    "findings",
    "curve",
    "images",
    "classes",
    "confusion",
    "survival",
    "sizes",
    "cost",
    "duels",
    "helps",
    "reproduce",
]
# links within the page, images inside it, and the files beside it
BESIDE = r"(#|data:|$|(summary.json|manifest.json|records|images)$)"
RUNS = ["digits", "single", "rejecting", "blocked", "thousand"]


@pytest.fixture(scope="module", params=RUNS)
def page(request: pytest.FixtureRequest) -> tuple[str, str, Read]:
    """Every kind of run as (name, source, what was read)."""
    html = request.getfixturevalue(f"{request.param}_page").read_text(encoding="utf-8")
    return request.param, html, read_page(html)


def test_sections_stand_in_the_agreed_order(page: tuple[str, str, Read]) -> None:
    result = page[2].having("section", "id")
    assert result == [name for name in ORDER if name in result]
    assert {"answer", "findings", "reproduce"} <= set(result)
    assert "Not measured" not in page[1]  # a section without content is left out


def test_the_page_is_semantic(page: tuple[str, str, Read]) -> None:
    _, html, read = page
    assert html.startswith("<!doctype html>")
    assert read.having("html", "lang") == ["en"]
    assert read.tags["h1"] == read.tags["main"] == read.tags["nav"] == 1
    assert "#main" in read.having("a", "href")
    assert len(read.having("th", "scope")) == read.tags["th"] > 0
    assert all(read.having("img", "alt"))
    assert len(read.having("img", "alt")) == read.tags["img"] > 0
    ids = [one["id"] for _, one in read.attributes if "id" in one]
    assert len(set(ids)) == len(ids)
    for target in re.findall(r'(?:url\(#|href="#)([^)"]+)', html.split("<script")[0]):
        assert target in ids


def test_what_scrolls_can_be_reached_by_key(page: tuple[str, str, Read]) -> None:
    scrolling = [a for _, a in page[2].attributes if "scroll" in a.get("class", "").split()]
    assert scrolling
    assert all(a["tabindex"] == "0" and a["role"] == "region" for a in scrolling)
    assert all(a["aria-label"] for a in scrolling)


def test_every_figure_has_words_numbers_and_two_stills(page: tuple[str, str, Read]) -> None:
    name, html, read = page
    charts = [a for _, a in read.attributes if a.get("class") == "chart"]
    assert len(charts) == {"blocked": 2, "rejecting": 9}.get(name, 6)
    assert all(a["role"] == "img" and a["aria-label"] for a in charts)
    assert read.tags["figcaption"] == len(charts)
    assert html.count('<div class="still wide"><svg') == len(charts)
    assert html.count('<div class="still narrow"><svg') == len(charts)
    specs = json.loads(read.scripts[0])
    assert sorted(specs) == sorted(a["data-figure"] for a in charts)


def test_the_page_loads_nothing_and_is_not_large(page: tuple[str, str, Read]) -> None:
    _, html, read = page
    for _, one in read.attributes:
        for name in ("src", "href", "data", "poster", "action", "srcset", "xlink:href"):
            assert re.match(BESIDE, one.get(name, "")), one
    assert not re.search(r"url\((?!#)|@import", html.split("<script")[0])
    assert "default-src 'none'" in read.having("meta", "content")[0]
    assert len(html.encode()) < 3_000_000


def test_only_our_script_may_run(page: tuple[str, str, Read]) -> None:
    read = page[2]
    assert read.tags["script"] == 2  # the specifications, which do not run, and the bundle
    digest = base64.b64encode(hashlib.sha256(read.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in read.having("meta", "content")[0]
    events = [name for _, one in page[2].attributes for name in one if name.startswith("on")]
    assert events == []


def test_a_strangers_name_is_text_wherever_it_stands(single: Path, single_page: Path) -> None:
    html = single_page.read_text(encoding="utf-8")
    assert VILLAIN[:18] not in html
    read = read_page(html)
    assert f"How easily is {VILLAIN} fooled?" in read.text  # the model
    assert f"images of {VILLAIN}" in read.text  # the data
    assert f"under {VILLAIN}" in read.text  # the attack
    assert f"zoo:{VILLAIN}" in read.text  # the command
    assert any(VILLAIN[:30] in alt for alt in read.having("img", "alt"))  # the class
    assert VILLAIN in json.dumps(json.loads(read.scripts[0]))
    assert str(single) not in html


def test_the_answer_comes_first_with_its_interval(digits: Path, digits_page: Path) -> None:
    summary = json.loads((digits / "summary.json").read_text(encoding="utf-8"))
    text = read_page(digits_page.read_text(encoding="utf-8")).text
    assert text.index(summary["headline"]) < text.index("upper bound") < text.index("Findings What")
    low, high = summary["results"][-1]["robust_accuracy_ci"]
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in text


def test_a_rejecting_model_tells_what_it_rejects(
    rejecting: Path, rejecting_page: Path, digits_page: Path
) -> None:
    summary = json.loads((rejecting / "summary.json").read_text(encoding="utf-8"))
    text = read_page(rejecting_page.read_text(encoding="utf-8")).text.replace("\u00a0", " ")
    assert "What is rejected, with 95 % intervals" in text
    result = text[text.index("What is rejected") :]
    for entry in (summary["clean"], summary["results"][-1]):
        low, high = entry["rejected_ci"]
        assert f"{100 * entry['rejected']:.1f} %{100 * low:.1f} to {100 * high:.1f} %" in result
        assert f"{100 * entry['accepted_accuracy']:.1f} %" in result
    last = summary["rejection"][-1]
    assert f"{last['auroc']:.3f}" in result
    assert f"{100 * last['at'][1]['safe']:.1f} %" in result
    assert "rejected" not in read_page(digits_page.read_text(encoding="utf-8")).text.lower()


def test_findings_say_their_severity_in_words_and_the_remedy(blocked_page: Path) -> None:
    text = read_page(blocked_page.read_text(encoding="utf-8")).text
    places = [text.index(word) for word in ("Blocking", "Warning", "Note")]
    assert places == sorted(places)
    assert "What to do: run the audit again with --device cpu" in text


def test_a_blocked_run_leads_with_why_and_prints_no_rate(blocked_page: Path) -> None:
    html = blocked_page.read_text(encoding="utf-8")
    text = read_page(html).text
    assert "No number is printed" in text
    assert "Security curve" not in text
    assert "Warning:" not in text.partition("Findings")[0]
    answer = html[html.index('<section id="answer"') : html.index('<section id="findings"')]
    assert "the accuracy that the model reported" in answer
    assert not re.search(r"\d\s*%", answer.replace("\u00a0", " "))


def test_an_unfinished_run_says_so(digits: Path, tmp_path: Path) -> None:
    shutil.copytree(digits, tmp_path / "run")
    file = tmp_path / "run" / "summary.json"
    summary = json.loads(file.read_text(encoding="utf-8"))
    summary["complete"], summary["comparisons"] = False, []
    for result in summary["results"]:  # attacks that stop early know no confidence and no size
        result |= {"confidence": None, "confidence_ci": None, "sizes": None}
    file.write_text(json.dumps(summary), encoding="utf-8")
    shutil.rmtree(tmp_path / "run" / "images")
    read = read_page(write_report(tmp_path / "run").read_text(encoding="utf-8"))
    assert "Unfinished." in read.text
    assert "images" not in read.having("section", "id")
    assert "Mean confidence" not in read.text


def test_the_same_run_gives_the_same_bytes_and_the_figures(digits: Path, digits_page: Path) -> None:
    before = digits_page.read_bytes()
    assert write_report(digits, figures=True) == digits_page
    assert digits_page.read_bytes() == before
    written = sorted(path.name for path in (digits / "figures").iterdir())
    keys = ["classes-linf", "confusion-linf", "cost", "curve-linf", "duels", "sizes"]
    assert written == [f"{key}.{kind}" for key in keys for kind in ("pdf", "png", "svg")]
    starts = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<svg"}
    for path in (digits / "figures").iterdir():
        assert path.read_bytes().startswith(starts[path.suffix[1:]])


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"holds no manifest\.json"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_summary_that_lacks_its_results_is_refused(digits: Path, tmp_path: Path) -> None:
    shutil.copy(digits / "manifest.json", tmp_path)
    (tmp_path / "summary.json").write_text('{"headline": null, "clean": null}', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"summary\.json lacks 'results': run the audit again"):
        write_report(tmp_path)


def test_how_to_reproduce_names_command_versions_and_hashes(digits_page: Path) -> None:
    text = read_page(digits_page.read_text(encoding="utf-8")).text
    result = text[text.index("How to reproduce The same command") :]
    for words in ("epsball audit zoo:base-cnn", "torch 2.13.0", "ab" * 32, "cd" * 32, "seed 0"):
        assert words in result
    assert "pgd linf 0.05, 0.1 and 0.2, restarts 1, steps 9" in result


def test_two_classes_of_one_name_stay_apart(thousand_page: Path) -> None:
    text = read_page(thousand_page.read_text(encoding="utf-8")).text
    assert "crane (34)" in text
    assert "crane (77)" in text


def test_the_room_needs_no_torch() -> None:
    modules = "epsball.report, epsball.report.audit.page, epsball.report.comparison.page"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
