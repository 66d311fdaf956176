"""What a plan has to know of the images. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Materials:
    """What a plan has to know of the images, as plain data.

    Args:
        data: the source's name, without a path: "mnist", "npz".
        content: hash of all training and test images and labels.
        train: how many training images there are.
        test: how many test images.
        shape: (c, h, w).
        classes: k.
    """

    data: str
    content: str
    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int
