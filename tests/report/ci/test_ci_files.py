"""JUnit, SARIF and GitHub's summary: what a CI server would read of made-up audits."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from epsball.errors import InvalidInput
from epsball.evaluation.metrics.gate import GateResult, judge_gate, read_share
from epsball.report.ci.files import write_ci_files
from epsball.report.ci.github import github_summary
from epsball.report.ci.junit import junit
from epsball.report.ci.sarif import sarif

MANIFEST = {
    "command": "epsball audit net.py:build --data npz:a.npz",
    "created": "2026-01-02T03:04:05+00:00",
    "model": {"name": "build <1>", "spec": "net.py:build"},
    "data": {"spec": "npz:a.npz"},
    "versions": {"epsball": "0.2.0", "torch": "2.13.0"},
}


def row(eps: float, rate: float | None, low: float = 0.0) -> dict[str, Any]:
    interval = None if rate is None else [low, 1.0]
    return {
        "norm": "linf",
        "eps": eps,
        "n": 200,
        "variant": "pgd",
        "seconds": 1.5,
        "robust_accuracy": rate,
        "robust_accuracy_ci": interval,
    }


def summary(*findings: dict[str, Any], rate: float | None = 0.5) -> dict[str, Any]:
    return {
        "headline": None if rate is None else "Robust accuracy is at most 50.0 %.",
        "complete": True,
        "worst_case": [row(0.1, rate, 0.43), row(0.2, rate and rate / 2, 0.19)],
        "results": [row(0.1, rate, 0.43)],
        "findings": list(findings),
    }


def finding(severity: str) -> dict[str, Any]:
    return {
        "code": "train-mode",
        "severity": severity,
        "message": "the model is in train mode",
        "evidence": {},
        "remedy": "call model.eval()",
    }


def test_the_gate_judges_the_lowest_rate_or_the_lowest_bound() -> None:
    point = judge_gate(summary(), 0.25)
    assert (point.passed, point.value, point.eps) == (True, 0.25, 0.2)
    lower = judge_gate(summary(), 0.25, "lower")
    assert (lower.passed, lower.value) == (False, 0.19)
    assert lower.sentence == (
        "missed: lower bound of robust accuracy within 0.2 in linf 19.0 % (200 images) is below "
        "the bar of 25.0 %"
    )


def test_without_a_ball_the_worst_attack_is_judged() -> None:
    results = [row(float("inf"), 0.7) | {"norm": "none"}, row(float("inf"), 0.6) | {"norm": "none"}]
    gate = judge_gate({"worst_case": [], "results": results}, 0.65)
    assert (gate.passed, gate.value, gate.eps) == (False, 0.6, None)


@pytest.mark.parametrize("text", ["40", "x", "-0.1", "101%", "1/0", ""])
def test_shares_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--fail-under must be"):
        read_share(text, "--fail-under")


def test_junit_counts_a_missed_gate_as_failure_and_a_block_as_error() -> None:
    gate = judge_gate(summary(), 0.9)
    suite = ET.fromstring(junit(summary(finding("warning")), MANIFEST, gate))[0]
    assert suite.attrib["failures"] == "1"
    assert suite.attrib["errors"] == "0"
    assert suite.attrib["tests"] == str(len(suite.findall("testcase")))
    assert "below the bar" in suite.find(".//failure").attrib["message"]  # type: ignore[union-attr]  # found
    blocked = ET.fromstring(junit(summary(finding("blocking"), rate=None), MANIFEST))[0]
    assert (blocked.attrib["errors"], blocked.attrib["failures"]) == ("1", "0")
    assert "call model.eval()" in blocked.find(".//error").attrib["message"]  # type: ignore[union-attr]  # found


def test_sarif_has_a_rule_for_every_result_and_names_the_file() -> None:
    gate = judge_gate(summary(), 0.9)
    run = json.loads(sarif(summary(finding("info")), MANIFEST, gate))["runs"][0]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"train-mode", "fail-under"}
    assert [result["level"] for result in run["results"]] == ["note", "error"]
    place = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "net.py"}
    assert json.loads(sarif(summary(), MANIFEST))["runs"][0]["results"] == []


def test_github_gets_the_rates_unless_they_are_withheld() -> None:
    page = github_summary(summary(), MANIFEST)
    assert "| linf | 0.1 | 50.0 % | 43.0 to 100.0 % |" in page
    assert "| linf |" not in github_summary(summary(finding("blocking"), rate=None), MANIFEST)


def test_files_stand_beside_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(summary()))
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    steps = tmp_path / "steps.md"
    steps.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(steps))
    gate = GateResult(0.4, "point", 0.5, "linf", 0.1, 200)
    names = [file.name for file in write_ci_files(tmp_path, gate)]
    assert names == ["junit.xml", "epsball.sarif"]
    assert steps.read_text().startswith("before\n## epsball")
