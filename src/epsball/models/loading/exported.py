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


class ExportedModel(nn.Module):
    """A program of torch.export as a classifier that is always in eval mode.

    Args:
        program: the unlifted module of an exported program.
        chunk: images that it takes at once; None: any number.
    """

    def __init__(self, program: nn.Module, chunk: int | None = None) -> None:
        super().__init__()
        self.program, self.chunk = program, chunk
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the program returns for images (n, c, h, w)."""
        if self.chunk is None:
            scores: Tensor = self.program(inputs)
            return scores
        starts = range(0, len(inputs), self.chunk)
        parts = [self._padded(inputs[at : at + self.chunk], self.chunk) for at in starts]
        return torch.cat(parts) if parts else inputs.new_zeros(0, 2)

    def _padded(self, part: Tensor, chunk: int) -> Tensor:
        """Return the scores of at most so many images, the last one repeated to the full number."""
        missing = part[-1:].expand(chunk - len(part), *part.shape[1:])
        scores: Tensor = self.program(torch.cat([part, missing]) if len(missing) else part)
        return scores[: len(part)]

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

    torch unpickles parts of an archive and evaluates others as Python, so a file from someone
    else may run code: the command line asks for --trust first.

    Raises:
        InvalidInput: the file is not trusted, is damaged, or was exported in train mode.
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
    return Built(ExportedModel(module, _batch_size(request, program)), file.stem)


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


def _batch_size(request: Request, program: Any) -> int | None:  # noqa: ANN401  # an ExportedProgram
    """Return how many images the program takes at once; None: any number."""
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise InvalidInput(
            f"{request.spec} takes {len(names)} inputs, a classifier takes one batch of images: "
            "export a module whose forward has one argument"
        )
    node = next(node for node in program.graph.nodes if node.name == names[0])
    value = node.meta["val"]
    fixed = isinstance(value, Tensor) and value.ndim > 0 and isinstance(value.shape[0], int)
    return int(value.shape[0]) if fixed else None
