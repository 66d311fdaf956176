"""A converted ONNX graph as a classifier of images in [0, 1]."""

from pathlib import Path

import torch
from torch import Tensor, nn

from epsball.models.loading.onnx.compare import COMPARED_IMAGES, FileScores, compare
from epsball.models.loading.onnx.declared import as_declared, as_rows
from epsball.models.loading.onnx.signature import Signature


class OnnxModel(nn.Module):
    """A graph of an ONNX file, shown images in its declared layout, type and batch size.

    It is always in eval mode: what an ONNX file does is fixed when it is exported.

    Args:
        graph: the converted graph; takes one tensor.
        signature: what the file declares.
        chunk: images a call of the graph; None: any number.
        mapped: run a graph for one image over many at once, by torch.vmap.
        file: what the graph was converted from, where it leaves the size of images open. The
            scores are then compared with its own on the first images of each size, because some
            operators are converted right for some sizes only. None: no comparison.
    """

    def __init__(
        self,
        graph: nn.Module,
        signature: Signature,
        chunk: int | None = None,
        *,
        mapped: bool = False,
        file: Path | None = None,
    ) -> None:
        super().__init__()
        self.file = file
        self._sizes_compared: set[tuple[int, ...]] = set()
        self.graph, self.signature, self.chunk, self.mapped = graph, signature, chunk, mapped
        self.train(mode=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores (n, k) of images (n, c, h, w) in [0, 1], in the images' dtype.

        What holds no floats, such as labels, is returned as it is.

        Raises:
            InvalidInput: the images have another size or number of channels.
            BrokenContract: the conversion gives other scores than the file for images of this size.
        """
        batch = as_declared(inputs, self.signature)
        if self.file is not None and len(inputs):
            self._compare_size(self.file, inputs)
        if self.mapped:
            each: Tensor = torch.vmap(lambda image: self._scores(image[None])[0])(batch)
            return each.to(inputs.dtype)
        size = self.chunk or max(1, len(batch))
        parts = [self._scores(batch[at : at + size]) for at in range(0, len(batch), size)]
        scores = torch.cat(parts)
        return scores.to(inputs.dtype) if scores.is_floating_point() else scores

    def _scores(self, batch: Tensor) -> Tensor:
        missing = 0 if self.chunk is None else self.chunk - len(batch)
        full = (
            torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch
        )
        # not by calling the graph: torch.fx prints a traceback of its own when that raises
        outputs = self.graph.forward(full)
        scores = outputs[self.signature.output] if isinstance(outputs, tuple | list) else outputs
        return as_rows(scores)[: len(batch)]

    def _compare_size(self, file: Path, inputs: Tensor) -> None:
        """Compare the scores with the file's own on the first images of a size."""
        size = tuple(inputs.shape[1:])
        coarse = inputs.dtype != torch.float32 or torch.is_autocast_enabled(inputs.device.type)
        if coarse or size in self._sizes_compared:
            return
        count = self.signature.batch or min(len(inputs), COMPARED_IMAGES)
        images = inputs.detach()[torch.arange(count) % len(inputs)]
        self._sizes_compared.add(size)  # the comparison calls this model
        try:
            scores = FileScores(f"onnx:{file}", file, self.signature.output)
            compare(self, self.signature, scores, images)
        except Exception:
            self._sizes_compared.discard(size)
            raise

    def train(self, mode: bool = True) -> "OnnxModel":  # noqa: FBT001, FBT002, ARG002  # as torch's
        """Stay in eval mode."""
        return super().train(mode=False)
