"""A cluster that is not there is named in one line, before anything is written."""

import builtins
import socket
from pathlib import Path
from typing import Any

import pytest

from epsball.cluster.connection import connect, import_ray
from epsball.errors import InvalidInput
from epsball.studies import run_study
from epsball.studies.executors.ray import Ray


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_without_ray_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def without_ray(name: str, *rest: Any, **named: Any) -> Any:
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(InvalidInput, match=r"pip install 'epsball\[ray\]'"):
        import_ray()
    out = tmp_path / "out"
    with pytest.raises(InvalidInput, match=r"pip install 'epsball\[ray\]'"):
        run_study("red-blue", out, executor=Ray(), data="digits")
    assert not out.exists()


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    address, out = f"127.0.0.1:{closed_port()}", tmp_path / "out"
    with pytest.raises(InvalidInput, match=f"--address {address}: nothing answers there"):
        run_study("red-blue", out, executor=Ray(address), data="digits")
    assert not out.exists()


@pytest.mark.parametrize("address", ["nohost:", ":6379", "ray://host:many"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(InvalidInput, match="--address"):
        connect(address)
