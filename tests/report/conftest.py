"""Finished runs for the tests of the report."""

import sys
from pathlib import Path
from typing import Any

import pytest

from epsball.report import write_comparison, write_report, write_study

sys.path.insert(0, str(Path(__file__).parents[2]))  # `tests.report.*`, however pytest was started


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes, three attacks, three eps, one class named by a villain."""
    from tests.report.fake_plans import digits_plan
    from tests.report.fake_run import build

    return build(digits_plan(), tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One eps only, and a villain for every name that a stranger may choose."""
    from tests.report.fake_plans import VILLAIN, digits_plan
    from tests.report.fake_run import build

    variants = ("noise", "fgsm", VILLAIN)
    names = tuple(f"{VILLAIN}{i}" for i in range(10))
    plan = digits_plan(eps=(0.1,), model=VILLAIN, data=VILLAIN, variants=variants, names=names)
    return build(plan, tmp_path_factory.mktemp("single"))


@pytest.fixture(scope="session")
def rejecting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one more score, "reject", attacked in two norms."""
    from tests.report.fake_plans import digits_plan
    from tests.report.fake_run import build

    plan = digits_plan(rejects=True, norms=("linf", "l2"), model="rejecting")
    return build(plan, tmp_path_factory.mktemp("rejecting"))


@pytest.fixture(scope="session")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that may print no rate."""
    from tests.report.fake_plans import BLOCKING, NOTES, digits_plan
    from tests.report.fake_run import build

    plan = digits_plan(findings=(*NOTES, BLOCKING), model="blocked")
    return build(plan, tmp_path_factory.mktemp("blocked"))


@pytest.fixture(scope="session")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand classes, colour images, two of the classes of one name."""
    from tests.report.fake_plans import thousand_plan
    from tests.report.fake_run import build

    return build(thousand_plan(), tmp_path_factory.mktemp("thousand"))


@pytest.fixture(scope="session")
def sturdy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rival of `digits`: the same images, a model that rejects what it doubts."""
    from tests.report.fake_plans import digits_plan
    from tests.report.fake_run import build

    plan = digits_plan(rejects=True, model="sturdy-cnn")
    return build(plan, tmp_path_factory.mktemp("sturdy"))


@pytest.fixture(scope="session")
def comparison(digits: Path, sturdy: Path) -> dict[str, Any]:
    """What `epsball compare` works out of two runs."""
    from tests.report.fake_comparison import compare

    return compare(digits, sturdy)


@pytest.fixture(scope="session")
def comparison_page(
    comparison: dict[str, Any], digits: Path, sturdy: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of two models."""
    return write_comparison([digits, sturdy], comparison, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="session")
def digits_page(digits: Path) -> Path:
    """The report of `digits`."""
    return write_report(digits)


@pytest.fixture(scope="session")
def single_page(single: Path) -> Path:
    """The report of `single`."""
    return write_report(single)


@pytest.fixture(scope="session")
def rejecting_page(rejecting: Path) -> Path:
    """The report of `rejecting`."""
    return write_report(rejecting)


@pytest.fixture(scope="session")
def blocked_page(blocked: Path) -> Path:
    """The report of `blocked`."""
    return write_report(blocked)


@pytest.fixture(scope="session")
def thousand_page(thousand: Path) -> Path:
    """The report of `thousand`."""
    return write_report(thousand)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with every kind of block."""
    from tests.report.fake_study import build

    return build(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def study_page(study: Path) -> Path:
    """Its page."""
    return write_study(study)
