"""Files that nodes share: copied whole, and only where they are missing."""

from pathlib import Path

import pytest

from epsball.cluster.storage import Storage
from epsball.errors import InvalidInput


def filled(root: Path) -> Path:
    (root / "models" / "abc").mkdir(parents=True)
    (root / "models" / "abc" / "model.safetensors").write_bytes(b"weights")
    (root / "models" / "abc" / "training.json").write_text("{}")
    (root / "images").mkdir()
    (root / "images" / "abc.npz").write_bytes(b"images")
    return root


@pytest.mark.parametrize("scheme", ["directory", "memory"])
def test_what_one_node_saves_another_loads(scheme: str, tmp_path: Path) -> None:
    url = "memory://study" if scheme == "memory" else str(tmp_path / "shared")
    storage, one, other = Storage(url), filled(tmp_path / "one"), tmp_path / "other"
    storage.check()
    missing = one / "examples" / "abc.npz"
    storage.save(one, [one / "models" / "abc", missing, one / "images" / "abc.npz"])
    names = ("models/abc", "examples/abc.npz", "images/abc.npz")
    storage.load(other, [other / name for name in names])
    files = {
        f.relative_to(other).as_posix(): f.read_bytes() for f in other.rglob("*") if f.is_file()
    }
    assert files == {
        "models/abc/model.safetensors": b"weights",
        "models/abc/training.json": b"{}",
        "images/abc.npz": b"images",
    }


def test_what_is_there_is_not_loaded_again(tmp_path: Path) -> None:
    storage, one = Storage(str(tmp_path / "shared")), filled(tmp_path / "one")
    storage.save(one, [one / "images" / "abc.npz"])
    (one / "images" / "abc.npz").write_bytes(b"newer")
    storage.load(one, [one / "images" / "abc.npz"])
    assert (one / "images" / "abc.npz").read_bytes() == b"newer"


def test_storage_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(InvalidInput, match="cannot be written to .* every node of the cluster"):
        Storage(str(tmp_path / "file" / "below")).check()
    with pytest.raises(InvalidInput, match="cannot be written to"):
        Storage("nosuchscheme://bucket/x").check()
    assert not list(tmp_path.glob("**/.epsball-*"))
