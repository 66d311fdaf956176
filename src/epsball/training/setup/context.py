"""What a run works with and never changes: recipe, images, settings; checked before it starts."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from epsball.data import class_counts
from epsball.training.recipes.spec import RecipeSpec
from epsball.training.recipes.table import recipe_of
from epsball.training.run.results import EpochProgress
from epsball.training.setup.augmenting import crop_and_flip
from epsball.training.setup.feeding import Feed, batch_count, open_feed
from epsball.training.setup.placement import Placement
from epsball.training.setup.preflight import check_dropout, check_eps, check_fit, check_sources
from epsball.training.setup.randomness import seeded
from epsball.training.setup.settings import TrainSettings
from epsball.types import Dataset, Positions


@dataclass(frozen=True)
class TrainingContext:
    """What a run works with.

    Args:
        model: its weights change, it does not.
        recipe: the loss that every step goes down.
        feed: the images.
        sample: (m, c, h, w), a few of them.
        settings: what was asked for.
        progress: who hears how it goes; may be None.
        sources: other models, for recipes that take some.
        classes: k, the number of the model's logits.
    """

    model: nn.Module
    recipe: RecipeSpec
    feed: Feed
    sample: Tensor
    settings: TrainSettings
    progress: EpochProgress | None
    sources: Sequence[nn.Module] = ()
    classes: int = 0

    def epoch_batches(self, epoch: int, placement: Placement) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the batches of one epoch, in an order that depends on seed and epoch alone.

        Where batches are replayed, every one comes several times in a row, across the end of an
        epoch if need be; an epoch then visits as many times fewer images.
        """
        times = self.settings.replays if "replays" in self.recipe.parameters else 1
        steps = range((epoch - 1) * self.batches, epoch * self.batches)
        order_of = functools.lru_cache(1)(self._order)
        for place, again in itertools.groupby(steps, lambda step: step // times):
            cycle, number = divmod(place, self.batches)
            batch = self._batch(order_of(cycle)[number], place, placement)
            yield from itertools.repeat(batch, len(list(again)))

    def _order(self, cycle: int) -> list[Positions]:
        """Return the rows of each batch of a whole pass."""
        generator = seeded(self.settings.seed, cycle + 1, "order")
        return self.feed.order(self.settings.batch_size, generator, self.settings.sampling)

    def _batch(self, rows: Positions, place: int, placement: Placement) -> tuple[Tensor, Tensor]:
        ((images, labels),) = self.feed.batches(rows, len(rows), placement)
        if self.settings.augment == "crop-flip":
            generator = seeded(self.settings.seed, place, "augment", placement.device)
            images = crop_and_flip(images, generator)
        return images, labels

    def class_counts(self, placement: Placement) -> Tensor | None:
        """Return training images of each class, (k,) float32; None where no setting wants them."""
        if self.settings.class_weights == "none" and not self.settings.logit_adjustment:
            return None
        counts = class_counts(self.feed.train_labels, self.classes)
        return torch.from_numpy(counts).float().to(placement.device)

    @property
    def batches(self) -> int:
        """Return the number of steps of one epoch."""
        return batch_count(len(self.feed.train_rows), self.settings.batch_size)

    @property
    def updates(self) -> int:
        """Return the number of steps of all epochs."""
        return self.settings.epochs * self.batches


def build_context(
    model: nn.Module,
    dataset: Dataset,
    settings: TrainSettings,
    progress: EpochProgress | None,
    *,
    sources: Sequence[nn.Module] = (),
    held_out: Dataset | None = None,
) -> TrainingContext:
    """Check that recipe, settings, models and images go together, and gather them.

    Raises:
        InvalidInput: they do not; the message says which and why.
    """
    recipe = recipe_of(settings)
    feed = open_feed(dataset, settings, held_out)
    sample, classes = check_fit(model, feed)
    check_eps(feed, settings)
    check_dropout(model, settings.dropout)
    check_sources(model, sources, sample, recipe, settings.recipe)
    return TrainingContext(model, recipe, feed, sample, settings, progress, tuple(sources), classes)
