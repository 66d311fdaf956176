"""Train a model by any recipe; stop early, keep the best weights, lose an epoch to a kill."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from epsball.training.run.directory import TrainRun
from epsball.training.run.epochs import run_epoch
from epsball.training.run.results import EpochProgress, TrainResult
from epsball.training.run.staging import prepare
from epsball.training.setup.arithmetic import without_denormals
from epsball.training.setup.context import build_context
from epsball.training.setup.settings import TrainSettings
from epsball.types import Dataset


def train(
    model: nn.Module,
    train_set: Dataset,
    settings: TrainSettings,
    *,
    out: Path,
    progress: EpochProgress | None = None,
    sources: Sequence[nn.Module] = (),
    validation_set: Dataset | None = None,
) -> TrainResult:
    """Train a model and leave its best weights in a directory, and in the model.

    After every epoch a checkpoint is written. Called again with the same arguments, it continues
    after the last finished epoch, to bitwise the weights of an undisturbed run; a run that is over
    is not repeated. Continuing means the weights in `out`: those that `model` comes with count
    only at the start.

    Args:
        model: gives logits (n, k) for images (n, c, h, w) in [0, 1]. Changed in place: it ends
            with the best weights, in eval mode, where it was before.
        train_set: images and labels in [0, k); a share of them is held out for validation.
        settings: see `TrainSettings`; `default_settings` proposes some.
        out: the run's directory; made if need be.
        progress: hears every few batches how it goes, of a source model's training too.
        sources: other models, for recipes that make examples on some: "ensemble" takes one or more,
            "offline" and "two-step" one, or train it themselves. Not changed.
        validation_set: images to validate on, in place of a share of the training set.

    Returns:
        Where the weights are, and what was measured in each epoch.

    Raises:
        InvalidInput: settings, model and images do not go together; `out` holds another run or
            cannot be written to.
        BrokenContract: training diverged, or the model raised. Checkpoint and model keep the last
            finished epoch.

    Example:
        >>> import tempfile, numpy as np
        >>> pixels = np.repeat(np.array([0, 255], np.uint8), 8).reshape(16, 1, 1, 1)
        >>> labels = np.repeat([0, 1], 8)
        >>> data = Dataset("dots", labels, ("dark", "light"), (1, 1, 1), lambda rows: pixels[rows])
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        >>> settings = TrainSettings(epochs=8, batch_size=2, lr=0.1)
        >>> train(model, data, settings, out=Path(tempfile.mkdtemp())).best.validation_accuracy
        1.0
    """
    context = build_context(
        model, train_set, settings, progress, sources=sources, held_out=validation_set
    )
    run = TrainRun(context, out)
    if not run.finished:
        with without_denormals(), run.under_way():
            prepare(run, train)
            while not run.history.is_over(settings):
                run.keep(run_epoch(run))
            run.finish()
    return run.result()
