"""Archives of torch.export."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from epsball.errors import BrokenContract, InvalidInput
from epsball.models.loading.messages import one_line
from epsball.models.loading.request import Built, Request
from epsball.modes import training_parts

DYNAMIC = "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)"


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
    """Load an archive of `torch.export.save`.

    torch unpickles parts of an archive and evaluates others as Python, so a file from somebody
    else may run code: the command line asks for --trust first.

    Raises:
        InvalidInput: the file is not trusted, is damaged, was exported in train mode, or is made
            for one batch size.
    """
    file = existing_file(request)
    if not request.trust:
        raise InvalidInput(
            f"{request.spec}: an archive of torch.export can run code that is hidden in it: add "
            "--trust if you know where it comes from, or export the model to ONNX"
        )
    program = _program(request, file)
    module = program.module()
    if parts := training_parts(module):
        raise InvalidInput(
            f"{request.spec} was exported in train mode ({parts[0]}): call model.eval() first, "
            "then export again"
        )
    _check_input(request, program)
    return Built(ExportedModel(module), file.stem)


def existing_file(request: Request) -> Path:
    """Return the file that a spec names; it holds its weights.

    Raises:
        InvalidInput: there is none, or weights are given beside it.
    """
    file = Path(request.name)
    if not file.is_file():
        raise InvalidInput(
            f"{request.spec}: no such file {file}: give the path of the exported model"
        )
    if request.weights is not None:
        raise InvalidInput(f"{request.spec} holds its weights: leave --weights out")
    return file


def _program(request: Request, file: Path) -> Any:  # noqa: ANN401  # an ExportedProgram
    from torch.export import load
    from torch.export.passes import move_to_device_pass

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about its own internals
            program: Any = load(file)
            if request.device != "cpu":
                program = move_to_device_pass(program, request.device)
    except Exception as error:  # an archive of another version fails anywhere in the deserialiser
        raise InvalidInput(
            f"{request.spec} cannot be loaded by torch {torch.__version__} ({one_line(error)}): "
            "the file is damaged or of another version; export the model again with this one"
        ) from error
    return program


def _check_input(request: Request, program: Any) -> None:  # noqa: ANN401  # an ExportedProgram
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise InvalidInput(
            f"{request.spec} takes {len(names)} inputs, a classifier takes one batch of images: "
            "export a module whose forward has one argument"
        )
    node = next(node for node in program.graph.nodes if node.name == names[0])
    value = node.meta["val"]
    if isinstance(value, Tensor) and value.ndim and isinstance(value.shape[0], int):
        raise InvalidInput(
            f"{request.spec} takes batches of exactly {value.shape[0]}, the audit uses many sizes: "
            f"export again with torch.export.export(model, (images,), {DYNAMIC}) on two images"
        )
