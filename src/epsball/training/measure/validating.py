"""What follows the last step of an epoch: the held-out images, and the watch's look."""

import torch

from epsball.training.measure.failures import Mean, finite, named_failure
from epsball.training.measure.meter import Meter
from epsball.training.measure.watch import Watched, look
from epsball.training.recipes.agreement import watch_interval
from epsball.training.recipes.spec import Batch
from epsball.training.run.directory import TrainRun
from epsball.training.setup.randomness import seeded


def validate(run: TrainRun, epoch: int, meter: Meter) -> tuple[float | None, float | None]:
    """Return loss and accuracy on the held-out images; nothing, where there are none.

    The same random classes in every epoch, so that epochs are compared on equal terms.
    """
    context, settings = run.context, run.context.settings
    if not context.feed.validated:
        return None, None
    plain = settings.changed(
        l1=0.0, l2=0.0, label_smoothing=0.0, class_weights="none", logit_adjustment=0.0
    )
    generator = seeded(settings.seed, 0, "validation", run.placement.device)
    mean = Mean(run.placement.device)
    meter.start_over()
    with torch.no_grad(), named_failure(f"epoch {epoch}, validation"), run.placement.autocast():
        for images, labels in context.feed.validation(settings.batch_size, run.placement):
            meter.expect(labels, images)
            batch = Batch(images, labels, plain, generator, context.sources)
            task = context.recipe.task(context.model, batch, judging=True, aside=meter.aside)
            mean.add(task.total(), len(labels))
            if meter.waits:
                context.model(images)  # the recipe looked at examples only
    return finite(mean.value, run, epoch), meter.accuracy


def watch(run: TrainRun, epoch: int) -> Watched | None:
    """Return what the watch sees after an epoch; None where it does not look."""
    every = watch_interval(run.context.settings)
    if not every or epoch % every:
        return None
    with named_failure(f"epoch {epoch}, watch"):
        return look(run)
