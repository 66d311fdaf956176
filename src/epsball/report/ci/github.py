"""The job summary of GitHub Actions: the headline, the rates and the findings as Markdown."""

from collections.abc import Mapping
from typing import Any

from epsball.evaluation.metrics.gate import GateResult
from epsball.evaluation.metrics.present import eps_text, interval, percent

VARIABLE = "GITHUB_STEP_SUMMARY"  # names the file to append to


def github_summary(
    summary: Mapping[str, Any], manifest: Mapping[str, Any], gate: GateResult | None = None
) -> str:
    """Write an audit as the Markdown of a job summary.

    Args:
        summary: the content of summary.json.
        manifest: the content of manifest.json.
        gate: the verdict of `--fail-under`, if there is one.
    """
    lines = [f"## epsball: {manifest['model']['name']} on {manifest['data']['spec']}", ""]
    if gate is not None:
        lines += [f"**{gate.sentence}**", ""]
    lines += [summary["headline"] or "A blocking finding withholds every rate.", ""]
    if summary["headline"] and summary["worst_case"]:
        lines += ["| norm | eps | robust accuracy | 95 % interval |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {row['norm']} | {eps_text(row['eps'])} | {percent(row['robust_accuracy'])} | "
            f"{interval(row['robust_accuracy_ci'])} |"
            for row in summary["worst_case"]
        ]
        lines.append("")
    for finding in summary["findings"]:
        lines.append(
            f"- **{finding['severity']}** `{finding['code']}`: {finding['message']}; "
            f"{finding['remedy']}"
        )
    return "\n".join(lines) + "\n"
