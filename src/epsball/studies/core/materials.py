"""What a plan has to know of the pictures. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Materials:
    """What a plan has to know of the pictures, as plain data.

    Args:
        data: the source's name, without a path: "mnist", "npz".
        content: hash of all training and test pictures and labels.
        train: how many training pictures there are.
        test: how many test pictures.
        shape: (c, h, w).
        classes: k.
    """

    data: str
    content: str
    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int
