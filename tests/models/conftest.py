from collections.abc import Callable, Iterator
from pathlib import Path

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
