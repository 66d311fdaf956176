"""Write what CI servers read, beside summary.json."""

import os
from pathlib import Path

from epsball.evaluation.metrics.gate import GateResult
from epsball.evaluation.records.schema import read_manifest, read_summary
from epsball.files import write_bytes
from epsball.report.ci.github import VARIABLE, github_summary
from epsball.report.ci.junit import junit
from epsball.report.ci.sarif import sarif


def write_ci_files(run: Path, gate: GateResult | None = None) -> list[Path]:
    """Write junit.xml and epsball.sarif into a finished run; append GitHub's summary if asked for.

    Args:
        run: the directory of an audit.
        gate: the verdict of `--fail-under`, if there is one.

    Returns:
        The files that were written in the directory.
    """
    summary, manifest = read_summary(run), read_manifest(run)
    if VARIABLE in os.environ:
        with Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as file:
            file.write(github_summary(summary, manifest, gate))
    return [
        write_bytes(run / "junit.xml", junit(summary, manifest, gate)),
        write_bytes(run / "epsball.sarif", sarif(summary, manifest, gate)),
    ]
