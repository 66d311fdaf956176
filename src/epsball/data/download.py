"""Downloads a published file into the user's cache, with a progress bar, and checks its hash."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from epsball.data.places import VARIABLE
from epsball.errors import InvalidInput

_TIMEOUT = 30  # seconds without a byte before the next mirror is tried
_CHUNK = 1 << 16  # bytes


class _Bar:
    """What pooch asks of a progress bar, drawn by rich."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None)

    @property
    def total(self) -> float | None:
        return self._progress.tasks[self._task].total

    @total.setter
    def total(self, size: int) -> None:
        self._progress.update(self._task, total=size or None)  # 0: the server did not state it

    def update(self, size: int) -> None:
        self._progress.update(self._task, advance=size)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop_task(self._task)


def download(name: str, urls: Sequence[str], folder: Path, md5: str) -> Path:
    """Fetch one file from the first of its mirrors that has it. Nothing half-written stays behind.

    Args:
        name: the file's name in the folder.
        urls: the same file at each of its publishers, best first.
        folder: where it goes; made where absent.
        md5: of the file as published, in hexadecimal; guards against a broken transfer. What is
            read from the file is checked again, with sha256.

    Returns:
        The path of the file.

    Raises:
        InvalidInput: no mirror gave the file, or it cannot be written; each reason is named.
    """
    reasons = []
    for url in urls:
        try:
            return _fetch(name, url, folder, md5)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a hash: ValueError
            reasons.append(f"{url}: {_in_short(error)}")
    raise InvalidInput(
        f"{name} could not be downloaded ({'; '.join(reasons)}): check the network and the disk, "
        f"or put the file into the folder {folder.name} of ${VARIABLE}"
    )


def _in_short(error: Exception) -> str:
    """Return what went wrong without the chain of wrappers that network libraries put around it."""
    reason = " ".join(str(error).split())
    if "Max retries" in reason:
        reason = reason.rpartition("] ")[2].rpartition(": ")[2].strip(" ')\"(") or reason
        return f"no connection ({reason})"
    return reason


def _fetch(name: str, url: str, folder: Path, md5: str) -> Path:
    import pooch

    label = TextColumn("{task.description}")
    columns = (label, BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        downloader = pooch.HTTPDownloader(
            progressbar=_Bar(progress, name), chunk_size=_CHUNK, timeout=_TIMEOUT
        )
        file = pooch.retrieve(url, f"md5:{md5}", fname=name, path=folder, downloader=downloader)
    return Path(file)
