"""A study that is killed three times and continued: the same rows, and no cell runs twice."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from epsball.studies import read_rows, run_study

SMALL: dict[str, Any] = {
    "data": "digits",
    "grid": "arm=clean;l1=0,1e-4;l2=0",
    "seeds": 2,
    "epochs": 5,
    "limit": 32,
    "searched": 0,
}


def finished(out: Path) -> dict[str, int]:
    """Return when each finished cell was written, in nanoseconds."""
    return {file.name: file.stat().st_mtime_ns for file in (out / "rows").glob("*.parquet")}


def comparable(out: Path) -> pl.DataFrame:
    rows = read_rows(out)
    return rows.drop([name for name in rows.columns if name.endswith("seconds")])


@pytest.mark.slow
def test_three_kills(tmp_path: Path) -> None:
    out = tmp_path / "killed"
    flags = [part for name, value in SMALL.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "epsball.cli", "study", "red-blue", "--out", str(out), *flags]
    before: dict[str, int] = {}
    for cells in (1, 3, 5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(finished(out)) < cells:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.02)
        process.kill()
        process.wait()
        now = finished(out)
        assert before.items() <= now.items()  # none was written again
        assert len(now) < 9
        before = now
    result = run_study("red-blue", out, **SMALL)
    assert before.items() <= finished(out).items()
    assert result.summary["cells"] == {"planned": 10, "done": 10}
    run_study("red-blue", tmp_path / "undisturbed", **SMALL)
    assert comparable(out).equals(comparable(tmp_path / "undisturbed"))
