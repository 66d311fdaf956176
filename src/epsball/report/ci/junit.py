"""JUnit XML of an audit: one test case for each worst-case rate, each finding, and the gate."""

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from epsball.evaluation.metrics.gate import GateResult
from epsball.evaluation.metrics.present import eps_text, interval, percent


def junit(
    summary: Mapping[str, Any], manifest: Mapping[str, Any], gate: GateResult | None = None
) -> bytes:
    """Write an audit as JUnit XML, in the form of Jenkins' schema (junit-10.xsd).

    Args:
        summary: the content of summary.json.
        manifest: the content of manifest.json.
        gate: the verdict of `--fail-under`, if there is one.

    Returns:
        The document, UTF-8. A missed gate is a failure, a blocking finding an error; warnings and
        infos are passed test cases with their text as output.
    """
    cases = [*_rates(summary), *_findings(summary)]
    if gate is not None:
        cases.append(_gate(gate))
    seconds = sum(float(case.get("time", "0")) for case in cases)
    suite = ET.Element(
        "testsuite",
        {
            "name": f"epsball {manifest['model']['name']} on {manifest['data']['spec']}",
            "tests": str(len(cases)),
            "failures": str(sum(case.find("failure") is not None for case in cases)),
            "errors": str(sum(case.find("error") is not None for case in cases)),
            "skipped": "0",
            "time": f"{seconds:.3f}",
            "timestamp": str(manifest["created"])[:19],
        },
    )
    properties = ET.SubElement(suite, "properties")
    facts = {"command": manifest["command"], "headline": summary["headline"] or "withheld"}
    for name, value in (facts | manifest["versions"]).items():
        ET.SubElement(properties, "property", {"name": name, "value": str(value)})
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _rates(summary: Mapping[str, Any]) -> list[ET.Element]:
    cases = []
    for row in summary["worst_case"] or []:
        name = f"worst case, {row['norm']} {eps_text(row['eps'])}"
        case = _case("robust-accuracy", name)
        ET.SubElement(case, "system-out").text = (
            "withheld"
            if row["robust_accuracy"] is None
            else f"{percent(row['robust_accuracy'])} ({interval(row['robust_accuracy_ci'])}), "
            f"{row['n']} images"
        )
        cases.append(case)
    for row in summary["results"]:
        at = "" if not math.isfinite(row["eps"] or math.inf) else f", {row['norm']} {row['eps']:g}"
        case = _case("attack", f"{row['variant']}{at}", row.get("seconds") or 0.0)
        rate = row["robust_accuracy"]
        ET.SubElement(case, "system-out").text = "withheld" if rate is None else percent(rate)
        cases.append(case)
    return cases


def _findings(summary: Mapping[str, Any]) -> list[ET.Element]:
    cases = []
    for finding in summary["findings"]:
        case = _case("finding", finding["code"])
        text = f"{finding['message']}; remedy: {finding['remedy']}"
        if finding["severity"] == "blocking":
            ET.SubElement(case, "error", {"type": finding["code"], "message": text})
        else:
            ET.SubElement(case, "system-out").text = f"{finding['severity']}: {text}"
        cases.append(case)
    return cases


def _gate(gate: GateResult) -> ET.Element:
    case = _case("gate", f"{gate.judge} at least {gate.at_least:g}")
    if gate.passed:
        ET.SubElement(case, "system-out").text = gate.sentence
    else:
        ET.SubElement(case, "failure", {"type": "fail-under", "message": gate.sentence})
    return case


def _case(group: str, name: str, seconds: float = 0.0) -> ET.Element:
    return ET.Element(
        "testcase", {"classname": f"epsball.{group}", "name": name, "time": f"{seconds:.3f}"}
    )
