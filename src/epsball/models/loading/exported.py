"""Models in a file that needs no code of its own: ONNX and torch.export archives."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from epsball.errors import BrokenContract, InvalidInput
from epsball.models.loading.messages import one_line
from epsball.models.loading.pt2_archive import cleaned
from epsball.models.loading.request import Built, Request, optional


def from_onnx(request: Request) -> Built:
    """Turn an ONNX file into a torch module, through which gradients flow.

    Raises:
        InvalidInput: onnx2torch is missing, the file is damaged, or has an operator without a
            translation.
    """
    file = _existing(request)
    onnx2torch = optional("onnx2torch", extra="onnx", needed_by=request.spec)
    try:
        model: nn.Module = onnx2torch.convert(str(file))
    except NotImplementedError as error:
        raise InvalidInput(
            f"{request.spec}: no translation to torch ({one_line(error)}): export the model again "
            "with plainer operators (another opset), or load its own code with FILE.py:factory"
        ) from error
    except Exception as error:  # protobuf, onnx and onnx2torch each have errors of their own
        raise InvalidInput(
            f"{request.spec} cannot be read ({one_line(error)}): the file is damaged or "
            "is no ONNX model"
        ) from error
    return Built(model.eval(), file.stem)


class ExportedModel(nn.Module):
    """A program of torch.export as a classifier that is always in eval mode.

    Args:
        program: the unlifted module of an exported program.
    """

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the program returns for images (n, c, h, w)."""
        scores: Tensor = self.program(inputs)
        return scores

    def train(self, mode: bool = True) -> "ExportedModel":  # noqa: FBT001, FBT002  # as torch's
        """Stay in eval mode: an exported program has no other, and torch's own `eval` raises on it.

        Raises:
            BrokenContract: train mode is asked for.
        """
        if mode:
            raise BrokenContract(
                "an exported program cannot be trained: train the model it came from"
            )
        for module in self.modules():
            module.training = False
        return self


def from_pt2(request: Request) -> Built:
    """Load an archive of `torch.export.save` without unpickling anything in it.

    Raises:
        InvalidInput: the file is damaged, holds pickles or code, or is made for one batch size.
    """
    from torch.export import load
    from torch.export.passes import move_to_device_pass

    file = _existing(request)
    archive = cleaned(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about its own internals
            program: Any = load(archive)
            if request.device != "cpu":
                program = move_to_device_pass(program, request.device)
            model = ExportedModel(program.module())
    except Exception as error:  # an archive of another version fails anywhere in the deserialiser
        raise InvalidInput(
            f"{request.spec} cannot be loaded by torch {torch.__version__} ({one_line(error)}): "
            "export the model again with this version"
        ) from error
    return Built(model, file.stem)


def _existing(request: Request) -> Path:
    file = Path(request.name)
    if not file.is_file():
        raise InvalidInput(
            f"{request.spec}: no such file {file}: give the path of the exported model"
        )
    if request.weights is not None:
        raise InvalidInput(f"{request.spec} holds its weights: leave --weights out")
    return file
