import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from epsball.data.sources import cifar10, mnist
from epsball.errors import InvalidInput

MakeImage = Callable[..., Path]
Refusal = Callable[..., str]
NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing listens


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $EPSBALL_DATA, with an empty cache beside it and no publisher in reach."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("EPSBALL_DATA", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path / "cache")
    monkeypatch.setattr(mnist, "MIRRORS", (NOWHERE,))
    monkeypatch.setattr(cifar10, "URLS", (f"{NOWHERE}{cifar10.ARCHIVE}",))
    return folder


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which a local server publishes it."""
    folder = tmp_path / "www"
    folder.mkdir()
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def make_image() -> MakeImage:
    """Save random pixels as an image and return its path; the pixels follow from the path."""

    def save(
        file: Path, mode: str = "RGB", size: tuple[int, int] = (6, 5), **options: object
    ) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = random_pixels(len(str(file)), size, mode)
        image = Image.fromarray(noise)
        (image.convert(mode) if mode not in ("L", "RGB") else image).save(file, **options)  # type: ignore[arg-type]  # options differ by format
        return file

    return save


def random_pixels(seed: int, size: tuple[int, int], mode: str = "RGB") -> NDArray[np.uint8]:
    width, height = size
    shape = (height, width) if mode == "L" else (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def refusal() -> Refusal:
    """Run something that must be refused, and return the message: one line."""

    def message(act: Callable[..., object], *args: object, **options: object) -> str:
        with pytest.raises(InvalidInput) as caught:
            act(*args, **options)
        text = str(caught.value)
        assert "\n" not in text
        return text

    return message
