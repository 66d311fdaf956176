"""SARIF 2.1.0 of an audit: its findings, and a gate that was missed, as results."""

import json
from collections.abc import Mapping
from typing import Any

from epsball.evaluation.metrics.gate import GateResult

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"info": "note", "warning": "warning", "blocking": "error"}
_GATE = "fail-under"


def sarif(
    summary: Mapping[str, Any], manifest: Mapping[str, Any], gate: GateResult | None = None
) -> bytes:
    """Write an audit's findings as SARIF.

    Args:
        summary: the content of summary.json.
        manifest: the content of manifest.json.
        gate: the verdict of `--fail-under`, if there is one.

    Returns:
        The document, UTF-8. Each result is located at the model: its file where it names one.
    """
    results = [
        _result(f["code"], _LEVELS[f["severity"]], f"{f['message']}. Remedy: {f['remedy']}")
        for f in summary["findings"]
    ]
    if gate is not None and not gate.passed:
        results.append(_result(_GATE, "error", gate.sentence))
    spec = str(manifest["model"]["spec"])
    for result in results:
        result["locations"] = [_location(spec)]
    codes = sorted({result["ruleId"] for result in results})
    run = {
        "tool": {
            "driver": {
                "name": "epsball",
                "version": manifest["versions"]["epsball"],
                "rules": [
                    {"id": code, "shortDescription": {"text": code.replace("-", " ")}}
                    for code in codes
                ],
            }
        },
        "invocations": [
            {"commandLine": manifest["command"], "executionSuccessful": summary["complete"]}
        ],
        "results": results,
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return (json.dumps(document, indent=1) + "\n").encode()


def _result(rule: str, level: str, text: str) -> dict[str, Any]:
    return {"ruleId": rule, "level": level, "message": {"text": text}}


def _location(spec: str) -> dict[str, Any]:
    """Locate a result at the file that a spec names, and at the spec's name in any case."""
    location: dict[str, Any] = {"logicalLocations": [{"name": spec, "kind": "module"}]}
    file = spec.rpartition(":")[0] if ".py:" in spec else ""
    if file and not file.startswith(("/", "\\")):
        address = {"artifactLocation": {"uri": file.replace("\\", "/")}, "region": {"startLine": 1}}
        location["physicalLocation"] = address
    return location
