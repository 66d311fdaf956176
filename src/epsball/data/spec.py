"""The entry of a data source in the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from epsball.types import Dataset

Split: TypeAlias = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class DataSpec:
    """One source of data.

    Args:
        form: what a person types: "mnist", "folder:PATH[@SIZE]".
        source: where the images come from, and on what terms, in a line.
        load: (split) -> data set; where the source takes a path, (path, split) -> data set.
        takes_path: whether something must follow the name and a colon.
        takes_label: whether the class is given beside the path, and `load` takes it.
        eps: the radii suggested, in units of [0, 1]; empty: they depend on the images' shape.
    """

    form: str
    source: str
    load: Callable[..., Dataset]
    takes_path: bool = False
    takes_label: bool = False
    eps: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Return the key in the table: what stands before the colon."""
        return self.form.partition(":")[0]
