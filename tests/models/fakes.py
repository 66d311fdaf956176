"""Small models, archives of them, and files with code inside, for the tests of this folder."""

import io
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

Refusal: TypeAlias = Callable[[Callable[[], object]], str]


class Code:
    """Makes a folder when it is unpickled: proof that a file ran code."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.marker),)


class Small(nn.Module):
    """A classifier of 8x8 grey images with a buffer, a constant and a view of the batch size."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.output = nn.Linear(4, classes)
        self.shift = torch.arange(float(classes))

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.norm(self.convolution(inputs)).relu()
        scores: Tensor = self.output(maps.view(inputs.shape[0], 4, -1).mean(2)) + self.shift
        return scores


def export(model: nn.Module, file: Path, *, dynamic: bool = True) -> Path:
    """Save a model of 8x8 grey images with torch.export."""
    shapes = ({0: torch.export.Dim.DYNAMIC},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (torch.rand(2, 1, 8, 8),), dynamic_shapes=shapes)
        torch.export.save(program, file)
    return file


def torch_file(value: object) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def plain_pickle(value: object) -> bytes:
    """What pickle.dump writes."""
    return pickle.dumps(value)
