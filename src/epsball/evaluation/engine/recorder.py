"""Counting the passes of every single image, and watching the scores that an attack computes."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from epsball.attacks.core.asking import relaxed_of
from epsball.evaluation.engine.asking import ask
from epsball.evaluation.engine.deadline import check_deadline
from epsball.tensors import Boxes, Classifier
from epsball.types import ModelInfo

# (inputs (m, c, h, w), their rows (m,) in the batch, scores (m, k)), none of them with a gradient
OnScores: TypeAlias = Callable[[Tensor, Tensor, Tensor], None]


class Recorder:
    """A classifier that counts the forward and backward passes of each image of a batch.

    Args:
        model: the classifier; it stays as it is.
        info: what is known of it.
        count: n, images in the batch.
        device: where the model is: counting happens there, so that nothing waits for it.
        on_scores: called after every forward pass; None: not called.
        channels_last: give images to the model in that memory format.
        deadline: when the attack has to end, by `time.monotonic`.
    """

    def __init__(
        self,
        model: Classifier,
        info: ModelInfo,
        count: int,
        device: str,
        on_scores: OnScores | None = None,
        *,
        channels_last: bool = False,
        deadline: float = math.inf,
    ) -> None:
        """Start with no passes."""
        self.model, self.info, self.on_scores = model, info, on_scores
        self.channels_last, self.deadline = channels_last, deadline
        self.forwards = torch.zeros(count, dtype=torch.int64, device=device)  # (n,)
        self.backwards = torch.zeros(count, dtype=torch.int64, device=device)  # (n,)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return scores of the whole batch, perhaps several times over.

        What is left of an incomplete repetition is counted for the first images.
        """
        rows = torch.arange(len(inputs), device=self.forwards.device)
        return self.score_rows(inputs, rows % max(1, len(self.forwards)))

    def score_rows(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Return the scores (m, k) of some rows of the batch, in the dtype of the images."""
        check_deadline(self.deadline)
        self.forwards.index_add_(0, rows, torch.ones_like(rows))
        scores = ask(self.model, inputs, channels_last=self.channels_last)
        if scores.requires_grad:

            def count(gradient: Tensor) -> None:  # noqa: ARG001 - the hook's signature
                self.backwards.index_add_(0, rows, torch.ones_like(rows))

            hook: Any = scores.register_hook  # torch leaves it untyped
            hook(count)
        if self.on_scores is not None:
            self.on_scores(inputs.detach(), rows, scores.detach())
        return scores.to(inputs.dtype)

    def boxes(self) -> Boxes | None:
        """Return the boxes that the model shows, if it shows some."""
        method = getattr(self.model, "boxes", None)
        return method() if callable(method) else None

    def relaxed(self) -> "Recorder | None":
        """Return the model's differentiable version of itself, if any; it adds to these counts."""
        relaxed = relaxed_of(self.model)
        if relaxed is None:
            return None
        recorder = Recorder(
            relaxed,
            self.info,
            0,
            str(self.forwards.device),
            self.on_scores,
            deadline=self.deadline,
        )
        recorder.forwards, recorder.backwards = self.forwards, self.backwards
        return recorder
