import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.models.fakes import Refusal, Small, export
from torch import nn

from epsball.errors import EpsballError


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """A path that code hidden in a file would create; it must not be there at the end."""
    path = tmp_path / "code-was-run"
    yield path
    assert not path.exists()


@pytest.fixture
def refusal() -> Refusal:
    """The message of the error that a call raises: one of ours, and one line."""

    def message(call: Callable[[], object]) -> str:
        with pytest.raises(EpsballError) as caught:
            call()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return message


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A small model in eval mode and the archive that torch.export.save makes of it."""
    model = Small().eval()
    return model, export(model, tmp_path_factory.mktemp("pt2") / "small.pt2")


@pytest.fixture
def rewritten(archive: tuple[nn.Module, Path], tmp_path: Path) -> Callable[..., Path]:
    """Copy the archive with members replaced, by bytes or by a change of their JSON, or added."""

    def rewrite(changes: dict[str, bytes | Callable[[Any], object]]) -> Path:
        file = tmp_path / "changed.pt2"
        with zipfile.ZipFile(archive[1]) as old:
            members = {name.partition("/")[2]: old.read(name) for name in old.namelist()}
        for name, change in changes.items():
            members[name] = change if isinstance(change, bytes) else _edited(members[name], change)
        with zipfile.ZipFile(file, "w") as new:
            for name, content in members.items():
                new.writestr(f"changed/{name}", content)
        return file

    return rewrite


def _edited(content: bytes, change: Callable[[Any], object]) -> bytes:
    document = json.loads(content)
    change(document)
    return json.dumps(document).encode()
