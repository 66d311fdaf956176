"""Files that the nodes of a cluster share: any file system that fsspec knows."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epsball.errors import InvalidInput


@dataclass(frozen=True)
class Storage:
    """A directory that every node can read and write.

    Args:
        url: "/shared/directory", "s3://bucket/directory", "gs://..." ...
    """

    url: str

    def check(self) -> None:
        """Write and delete a small file.

        Raises:
            InvalidInput: the storage cannot be written to, or its file system is unknown.
        """
        try:
            system, root = self._open()
            system.makedirs(root, exist_ok=True)
            probe = f"{root}/.epsball-{uuid.uuid4().hex}"
            system.pipe_file(probe, b"probe")
            system.rm_file(probe)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
            raise InvalidInput(
                f"--storage {self.url} cannot be written to ({reason}); name a directory or URL "
                "that every node of the cluster may write to"
            ) from None

    def save(self, root: Path, paths: Sequence[Path]) -> None:
        """Copy files and directories into the storage.

        Args:
            root: the local directory that corresponds to the storage.
            paths: below root; those that do not exist are skipped.
        """
        system, there = self._open()
        for path in paths:
            for file in _files(path):
                target = f"{there}/{file.relative_to(root).as_posix()}"
                system.makedirs(target.rpartition("/")[0], exist_ok=True)
                beside = f"{target}.{uuid.uuid4().hex}.part"
                system.put_file(str(file), beside)
                system.mv(beside, target)

    def load(self, root: Path, paths: Sequence[Path]) -> None:
        """Copy files and directories out of the storage, those that are not there yet.

        Args:
            root: the local directory that corresponds to the storage.
            paths: below root; those that the storage does not have are skipped.
        """
        system, there = self._open()
        for path in paths:
            source = f"{there}/{path.relative_to(root).as_posix()}"
            if not path.exists() and system.exists(source):
                names = system.find(source) or [source]
                for name in names:
                    self._load_file(system, name, path / name[len(source) + 1 :])

    def _load_file(self, system: Any, name: str, file: Path) -> None:  # noqa: ANN401 - fsspec's
        if name.endswith(".part"):
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_name(f".{file.name}.{uuid.uuid4().hex}.part")
        system.get_file(name, str(beside))
        beside.replace(file)

    def _open(self) -> tuple[Any, str]:
        import fsspec

        system, root = fsspec.core.url_to_fs(self.url)
        return system, str(root).rstrip("/")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.exists() else []
