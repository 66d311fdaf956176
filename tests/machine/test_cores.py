"""Cores that a process may use: affinity, quotas of both kinds of control groups, environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from epsball.machine.cores import cpu_quota, divided_cores, usable_cores, wait_passively


def test_no_control_group_sets_no_limit(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert usable_cores(tmp_path) >= 1


@pytest.mark.parametrize(
    ("text", "quota"), [("max 100000", None), ("150000 100000", 1.5), ("x", None), ("1 0", None)]
)
def test_quota_of_version_2(tmp_path: Path, text: str, quota: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(("text", "quota"), [("-1", None), ("50000", 0.5)])
def test_quota_of_version_1(tmp_path: Path, text: str, quota: float | None) -> None:
    folder = tmp_path / "cpu"
    folder.mkdir()
    (folder / "cpu.cfs_quota_us").write_text(text + "\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu_quota(tmp_path) == quota


def test_the_smaller_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert usable_cores(tmp_path) == 6
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert usable_cores(tmp_path) == 3  # two and a half cores' worth of time
    (tmp_path / "cpu.max").write_text("20000 100000\n")
    assert usable_cores(tmp_path) == 1
    (tmp_path / "cpu.max").write_text("900000 100000\n")
    assert usable_cores(tmp_path) == 6


def test_workers_divide_the_cores_and_the_users_choice_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    environment = {"MKL_NUM_THREADS": "5"}
    with divided_cores(environment, 3):
        assert environment["OMP_NUM_THREADS"] == environment["POLARS_MAX_THREADS"] == "2"
        assert environment["MKL_NUM_THREADS"] == "5"
        assert environment["OMP_WAIT_POLICY"] == "passive"
    assert environment == {"MKL_NUM_THREADS": "5"}


def test_passive_waiting_unless_the_user_says_otherwise() -> None:
    environment: dict[str, str] = {}
    wait_passively(environment)
    assert environment == {"OMP_WAIT_POLICY": "passive"}
    environment = {"OMP_WAIT_POLICY": "active"}
    wait_passively(environment)
    assert environment == {"OMP_WAIT_POLICY": "active"}


def test_the_command_line_sets_it_before_torch_is_loaded() -> None:
    code = (
        "import sys, os, epsball.machine.cores as cores\n"
        "real = cores.wait_passively\n"
        "def checked(environment):\n"
        "    assert 'torch' not in sys.modules\n"
        "    real(environment)\n"
        "cores.wait_passively = checked\n"
        "from epsball.cli import main\n"
        "sys.argv = ['epsball', '--version']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print(os.environ['THP_MEM_ALLOC_ENABLE'], os.environ['OMP_WAIT_POLICY'])\n"
    )
    policies = ("OMP_WAIT_POLICY", "THP_MEM_ALLOC_ENABLE")
    environment = {k: v for k, v in os.environ.items() if k not in policies}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.split()[-2:] == ["1", "passive"]
