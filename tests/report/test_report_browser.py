"""The pages in a real browser: no error, no request, no overflow, both themes, paper, no script."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
PAGES = [
    # the largest of its kind represents these three in the default suite
    pytest.param("digits_page", marks=pytest.mark.slow),
    pytest.param("single_page", marks=pytest.mark.slow),
    pytest.param("blocked_page", marks=pytest.mark.slow),
    "thousand_page",
    "comparison_page",
    "study_page",
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
DARK, LIGHT = "rgb(21, 24, 28)", "rgb(253, 252, 250)"
_PATIENCE = 10.0  # seconds
LIVE = "document.querySelectorAll('.chart.is-live .live svg')"
ALIVE = f"{LIVE}.length === document.querySelectorAll('.chart').length"
# the drawing that belongs to the width has taken the place of the other one
FITS = "(svg.viewBox.baseVal.width < 480) === (document.body.clientWidth < 800)"


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Debian's Chromium."""
    where = shutil.which("chromium")
    if where is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=where, args=FLAGS)
        yield browser
        browser.close()


def _listen(page: "Page") -> list[str]:
    faults: list[str] = []
    page.on("console", lambda message: faults.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file:", "data:"))
            else faults.append(f"request: {request.url}")
        ),
    )
    return faults


def _wait_until(page: "Page", condition: str) -> None:
    """Wait until an expression is true.

    Playwright's own wait compiles the expression in the page where it is not true at once, which
    the page's security policy forbids.
    """
    ends = time.monotonic() + _PATIENCE
    while not page.evaluate(condition):
        assert time.monotonic() < ends, condition
        page.wait_for_timeout(20)


@pytest.mark.parametrize("name", PAGES)
def test_it_renders_without_fault_at_every_width_and_theme(
    browser: "Browser", request: pytest.FixtureRequest, name: str
) -> None:
    page = browser.new_page(viewport={"width": 1600, "height": 900}, color_scheme="light")
    faults = _listen(page)
    page.goto(request.getfixturevalue(name).as_uri())
    for width, theme in ((1600, "light"), (1600, "dark"), (400, "dark"), (400, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        _wait_until(page, ALIVE)
        _wait_until(page, f"[...{LIVE}].every(svg => {FITS})")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == (DARK if theme == "dark" else LIGHT)
        sizes = page.evaluate(f"[...{LIVE}].map(svg => [svg.clientWidth, svg.clientHeight])")
        assert all(100 < across <= width and down > 50 for across, down in sizes)
    assert faults == []
    assert page.evaluate("typeof window.hacked") == "undefined"
    page.close()


def test_charts_follow_the_theme_while_the_page_is_open(
    browser: "Browser", digits_page: Path
) -> None:
    page = browser.new_page(color_scheme="light")
    page.goto(digits_page.as_uri())
    _wait_until(page, ALIVE)
    label = "getComputedStyle(document.querySelector('.live .role-axis-label text')).fill"
    assert page.evaluate(label) == "rgb(86, 93, 102)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(label) == "rgb(169, 174, 181)"
    page.close()


def test_a_pointer_on_a_point_reads_its_number(browser: "Browser", digits_page: Path) -> None:
    page = browser.new_page(viewport={"width": 1600, "height": 900})
    page.goto(digits_page.as_uri())
    _wait_until(page, ALIVE)
    page.locator("#figure-curve-linf .live .mark-symbol path").nth(3).hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "%" in (page.text_content("#vg-tooltip-element") or "")
    page.close()


def test_without_script_the_stills_stay(browser: "Browser", digits_page: Path) -> None:
    for width, shown, hidden in ((400, "narrow", "wide"), (1600, "wide", "narrow")):
        context = browser.new_context(
            java_script_enabled=False, viewport={"width": width, "height": 900}
        )
        page = context.new_page()
        page.goto(digits_page.as_uri())
        assert page.locator(f".still.{shown} svg").first.is_visible()
        assert not page.locator(f".still.{hidden} svg").first.is_visible()
        context.close()


def test_paper_gets_the_wide_stills_and_no_navigation(
    browser: "Browser", digits_page: Path
) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 900}, color_scheme="dark")
    page.goto(digits_page.as_uri())
    _wait_until(page, ALIVE)
    page.emulate_media(media="print")
    assert page.locator(".still.wide svg").first.is_visible()
    assert not page.locator(".live svg").first.is_visible()
    assert not page.locator("nav").is_visible()
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert ink == "rgb(29, 33, 38)"  # dark on white, whatever the screen's theme
    assert page.pdf().startswith(b"%PDF")
    page.close()


def test_the_first_key_offers_to_skip_to_the_answer(browser: "Browser", digits_page: Path) -> None:
    page = browser.new_page()
    page.goto(digits_page.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answer"
    box = page.locator(".skip").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    page.close()
