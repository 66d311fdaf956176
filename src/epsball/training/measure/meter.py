"""Counting what a step costs and gets right, without the recipe having to know."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn


class Meter:
    """Watches every pass of a model, between `with` and its end.

    Every time a gradient comes back to the scores of an image, for the weights or for an attack,
    one gradient evaluation is counted: twice where a gradient is itself differentiated. Of each
    step the first pass that is no attack's is compared with the labels.
    """

    def __init__(self, model: nn.Module, sources: Sequence[nn.Module] = ()) -> None:
        """Watch nothing yet; of the sources, which examples may be made on, only the cost."""
        self.gradient_evaluations = 0
        self._model, self._sources = model, sources
        self._labels: Tensor | None = None
        self._images: Tensor | None = None
        self._aside = self._awaited = False
        self._right: Tensor | int = 0
        self._seen = 0

    def __enter__(self) -> Self:
        """Start watching."""
        # before any other hook: that of a placement hands the model other tensors
        self._handles = [self._model.register_forward_pre_hook(self._recognise, prepend=True)]
        self._handles += [self._model.register_forward_hook(self._watch)]
        self._handles += [s.register_forward_hook(self._watch_cost) for s in self._sources]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        for handle in self._handles:
            handle.remove()

    def expect(self, labels: Tensor, images: Tensor | None = None) -> None:
        """Say which classes (n,) the next pass should name, or the next pass of these images."""
        self._labels, self._images = labels, images

    @property
    def waits(self) -> bool:
        """Say whether the pass that is expected has not come yet."""
        return self._labels is not None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Run a block whose passes are an attack's: counted, but not compared with the labels."""
        self._aside = True
        try:
            yield
        finally:
            self._aside = False

    def start_over(self) -> None:
        """Forget right and wrong answers; keep the cost."""
        self._right, self._seen = 0, 0

    @property
    def accuracy(self) -> float:
        """Return the share of right answers so far."""
        return float(self._right) / max(1, self._seen)

    def _recognise(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        del model
        known = self._images is None or (bool(inputs) and inputs[0] is self._images)
        self._awaited = self._labels is not None and known and not self._aside

    def _watch(self, model: nn.Module, inputs: tuple[Any, ...], logits: Tensor) -> None:
        self._watch_cost(model, inputs, logits)
        if self._awaited and self._labels is not None:
            # stays on the device: reading it after every batch would make a GPU wait
            self._right = self._right + (logits.detach().argmax(1) == self._labels).sum()
            self._seen += len(logits)
            self._labels = None

    def _watch_cost(self, model: nn.Module, inputs: tuple[Any, ...], logits: Tensor) -> None:
        del model, inputs
        if logits.requires_grad:
            logits.register_hook(self._count)  # type: ignore[no-untyped-call]  # torch has no types here

    def _count(self, gradient: Tensor) -> None:
        self.gradient_evaluations += len(gradient)
