"""The source stays in small folders."""

from collections import Counter
from pathlib import Path

import epsball

SOURCE = Path(epsball.__file__).parent
FOLDERS = [SOURCE, *(folder for folder in SOURCE.rglob("*") if folder.is_dir())]
MOST_FILES = 16
SHARED_BY = 3


def modules(folder: Path) -> list[str]:
    return [file.stem for file in folder.glob("*.py") if not file.stem.startswith("__")]


def test_no_folder_has_more_than_sixteen_files() -> None:
    sizes = {str(folder.relative_to(SOURCE)): len(modules(folder)) for folder in FOLDERS}
    assert sum(sizes.values()) > 100
    assert {name: size for name, size in sizes.items() if size > MOST_FILES} == {}


def test_a_prefix_shared_by_three_files_is_a_folder() -> None:
    shared = {}
    for folder in FOLDERS:
        prefixes = Counter(name.split("_")[0] for name in modules(folder))
        repeated = [prefix for prefix, count in prefixes.items() if count >= SHARED_BY]
        if repeated:
            shared[str(folder.relative_to(SOURCE))] = repeated
    assert shared == {}


def test_names_of_test_files_are_unique() -> None:
    """Pytest imports test files by their base name."""
    names = Counter(file.name for file in Path(__file__).parent.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
