"""The facts about the images that a plan depends on. Imports no torch."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class DataSummary:
    """The facts about the images that a plan depends on, as plain data.

    Args:
        name: the source's name, without a path: "mnist", "npz".
        content: hash of all images and labels that the study uses.
        train: number of training images; 0 where the study uses none.
        test: number of test images.
        shape: (c, h, w).
        classes: number of classes, k.
        class_names: their names, in the order of the labels.
    """

    name: str
    content: str
    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int
    class_names: tuple[str, ...] = ()

    @property
    def pixels(self) -> int:
        """Return the number of values of an image, by which costs are foretold."""
        return math.prod(self.shape)
