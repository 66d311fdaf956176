"""What happens before the first epoch: examples made once, on a source model, and kept on disk.

They lie in the run's own directory: `source/`, the standard run of the source model, where none was
given, and `examples.safetensors`, with labels and what they cost.
"""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from epsball.attacks import fgsm
from epsball.training.measure.meter import Meter
from epsball.training.recipes.adversarial import pgd_examples
from epsball.training.recipes.spec import Batch, MadeOnce
from epsball.training.recipes.table import RECIPES, recipe_settings
from epsball.training.run.checkpoints import read_tensors, write_tensors
from epsball.training.run.directory import TrainRun
from epsball.training.run.results import Preparation, TrainResult
from epsball.training.setup.modes import evaluating
from epsball.training.setup.randomness import seeded
from epsball.training.setup.settings import TrainSettings

EXAMPLES, SOURCE = "examples.safetensors", "source"
_WATCHING = ("best_by", "watch_every", "watch_eps", "stop_at_collapse")


def prepare(run: TrainRun, train: Callable[..., TrainResult]) -> None:
    """Make the examples that the recipe wants made once, or read them; add them to the images.

    Args:
        run: under way; its images, and the weights it begins with, may change.
        train: trains the source model, where none was given.

    Raises:
        InvalidInput: something cannot be written, or examples that were written cannot be read.
        BrokenContract: training the source diverged.
    """
    wanted, file = run.context.recipe.made_once, run.out / EXAMPLES
    if wanted is None:
        return
    is_continued = bool(run.history.rows)
    if not (is_continued and file.exists()):
        source, spent = _source(run, train)
        if not file.exists():
            _write_examples(run, source, wanted, file, spent)
        if wanted.from_source and not is_continued:
            run.begin_at(source.state_dict())
    tensors, note = read_tensors(file)
    run.preparation = Preparation(**json.loads(note))
    if run.preparation.added:
        feed = run.context.feed.with_added(tensors["images"], tensors["labels"])
        run.context = replace(run.context, feed=feed)


def plainly(settings: TrainSettings) -> TrainSettings:
    """Return the settings of a source model's run: the same, but for what `standard` ignores.

    Example:
        >>> settings = TrainSettings(recipe="offline", eps=0.1, lr=0.01)
        >>> plainly(settings).recipe, plainly(settings).eps, plainly(settings).lr
        ('standard', None, 0.01)
    """
    idle = recipe_settings() - set(RECIPES["standard"].parameters)
    fields = TrainSettings.model_fields
    return settings.changed(
        recipe="standard", **{name: fields[name].default for name in (*idle, *_WATCHING)}
    )


def _source(run: TrainRun, train: Callable[..., TrainResult]) -> tuple[nn.Module, Preparation]:
    """Return the model to be attacked, with its weights, and what it cost."""
    context = run.context
    if context.sources:
        return context.sources[0], Preparation()
    model = copy.deepcopy(context.model)
    result = train(
        model,
        context.feed.dataset,
        plainly(context.settings),
        out=run.out / SOURCE,
        progress=context.progress,
    )
    return model, Preparation(result.gradient_evaluations, result.seconds)


def _write_examples(
    run: TrainRun, source: nn.Module, wanted: MadeOnce, file: Path, spent: Preparation
) -> None:
    """Attack all training images, those held out excepted."""
    context, start = run.context, time.perf_counter()
    settings = context.settings
    generator = seeded(settings.seed, 0, "made once", run.placement.device)
    examples: list[tuple[Tensor, Tensor]] = []
    with Meter(source) as meter, evaluating(source), run.placement.autocast():
        for images, labels in context.feed.batches(
            context.feed.train_rows, settings.batch_size, run.placement
        ):
            batch = Batch(images, labels, settings, generator)
            examples.append(_examples(source, batch, wanted))
    images, labels = (torch.cat(parts) for parts in zip(*examples, strict=True))
    cost = replace(
        spent,
        gradient_evaluations=spent.gradient_evaluations + meter.gradient_evaluations,
        seconds=spent.seconds + time.perf_counter() - start,
        attacked=len(context.feed.train_rows),
        added=len(labels),
    )
    write_tensors(file, {"images": images, "labels": labels}, json.dumps(asdict(cost)))


def _examples(source: nn.Module, batch: Batch, wanted: MadeOnce) -> tuple[Tensor, Tensor]:
    """Return examples (m, c, h, w) and their labels (m,), on the CPU."""
    settings = batch.settings
    if settings.attack_steps == 1:
        attacked = fgsm(source, batch.images, batch.labels, eps=batch.eps, norm=settings.norm)
    else:
        attacked = pgd_examples(source, batch)
    labels = batch.labels
    if wanted.successes:
        chosen = _right(source, batch.images, labels) & ~_right(source, attacked, labels)
        attacked, labels = attacked[chosen], labels[chosen]
    return attacked.cpu(), labels.cpu()


def _right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        right: Tensor = model(images).argmax(1) == labels
    return right
