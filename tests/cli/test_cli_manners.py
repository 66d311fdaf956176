"""What the command line says while it works, when it is stopped and when it goes on."""

import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tests.cli.test_cli import epsball, place

from epsball.cli.console import show
from epsball.cli.console.options import default_out
from epsball.evaluation.forms import attack_texts
from epsball.evaluation.records.shards import run_shard
from epsball.evaluation.running import loop

__all__ = ["place"]
AUDIT = ("audit", "mine.py:build", "--data", "npz:images.npz", "--attack", "fgsm,noise")
RADII = ("--eps", "4/255,0.1")


def test_a_stopped_audit_says_what_it_kept_and_the_next_what_it_found(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def stopped_in_the_second(*given: object, **more: object) -> frozenset[int]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run_shard(*given, **more)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr("epsball.evaluation.planning.sizing._LARGEST", 16)
    monkeypatch.setattr(loop, "run_shard", stopped_in_the_second)
    assert epsball(monkeypatch, *AUDIT, *RADII, "--out", "run") == 130
    said = capsys.readouterr().err
    assert "stopped: 16 of 24 images are finished, in run; give the same command again" in said
    assert "so far: Robust accuracy is at most" in said
    assert "16 images" in said
    assert epsball(monkeypatch, "report", "run") == 0
    capsys.readouterr()
    assert epsball(monkeypatch, *AUDIT, *RADII, "--out", "run") == 0
    printed = capsys.readouterr()
    assert "continuing run: 32 of 48 attacks on an image are finished" in printed.err
    assert "24 images" in printed.out


def test_an_audit_that_is_stopped_at_once_kept_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "run_shard", stopped)
    assert epsball(monkeypatch, *AUDIT, *RADII, "--out", "run") == 130
    assert "stopped: no image was finished; give the same" in capsys.readouterr().err


def test_the_first_line_comes_before_torch_is_loaded(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert epsball(monkeypatch, *AUDIT, *RADII, "--out", "run", "--limit", "1") == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("loading PyTorch ...")
    assert "1 of 24 images" in printed.err
    assert "1 image)" in printed.out
    assert "1 images" not in printed.out


def test_changed_data_or_weights_get_a_directory_of_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros(3))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one").write_text("1")
    names = [f"npz:{tmp_path}/a.npz", f"folder:{tmp_path}/folder@32", "digits"]
    before = [default_out("audit", "zoo:mlp", name) for name in names]
    assert before == [default_out("audit", "zoo:mlp", name) for name in names]
    np.savez(tmp_path / "a.npz", images=np.zeros(4))
    (tmp_path / "folder" / "two").write_text("2")
    after = [default_out("audit", "zoo:mlp", name) for name in names]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True]
    weights = tmp_path / "w.safetensors"
    weights.write_text("1")
    first = default_out("audit", "zoo:mlp", "digits", {"weights": weights})
    weights.write_text("other")
    assert default_out("audit", "zoo:mlp", "digits", {"weights": weights}) != first


def test_settings_stay_with_their_attack() -> None:
    assert attack_texts(["pgd:steps=5,objective=margin,fgsm", "noise"]) == [
        "pgd:steps=5,objective=margin",
        "fgsm",
        "noise",
    ]


@pytest.mark.parametrize("what", ["attacks", "models", "data", "recipes", "defences", "studies"])
def test_lists_fit_eighty_columns(
    what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "out", lambda: Console(width=80, highlight=False))
    assert epsball(monkeypatch, "list", what) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_results_fit_eighty_columns(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "out", lambda: Console(width=80, highlight=False))
    assert epsball(monkeypatch, *AUDIT, *RADII, "--out", "run") == 0
    printed = capsys.readouterr().out
    table = printed[printed.index("attack") : printed.index("Robust accuracy")]
    assert "…" not in table
    rows = [line for line in table.splitlines() if "linf" in line]
    assert len(rows) == 6
    assert all("%" in row and row.split()[0] in ("fgsm", "noise", "worst") for row in rows)


def test_a_name_of_a_list_may_be_singular_or_near(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert epsball(monkeypatch, "list", "attack") == 0
    assert "fgsm" in capsys.readouterr().out
    assert epsball(monkeypatch, "list", "atacks") == 2
    assert "did you mean 'attacks'?" in capsys.readouterr().err
    assert sys.argv[1:] == ["list", "atacks"]


def test_a_tilde_that_the_shell_leaves_is_the_home_of_the_user(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(place / "home"))
    assert epsball(monkeypatch, *AUDIT, "--eps", "0.1", "--out=~/run") == 0
    assert (place / "home" / "run" / "report.html").is_file()
    assert not (place / "~").exists()
