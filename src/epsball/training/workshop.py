"""What a run works with and never changes: recipe, pictures, settings; checked before it starts."""

from dataclasses import dataclass

from torch import Tensor, nn

from epsball.training.feeding import Feed, batch_count, open_feed
from epsball.training.preflight import check_fit
from epsball.training.recipes import RecipeSpec, recipe_of
from epsball.training.results import Progress
from epsball.training.settings import TrainSettings
from epsball.types import Dataset


@dataclass(frozen=True)
class Workshop:
    """What a run works with.

    Args:
        model: its weights change, it does not.
        recipe: the loss that every step goes down.
        feed: the pictures.
        sample: (m, c, h, w), a few of them.
        settings: what was asked for.
        progress: who hears how it goes; may be None.
    """

    model: nn.Module
    recipe: RecipeSpec
    feed: Feed
    sample: Tensor
    settings: TrainSettings
    progress: Progress | None

    @property
    def batches(self) -> int:
        """Return the number of steps of one epoch."""
        return batch_count(len(self.feed.train_rows), self.settings.batch_size)

    @property
    def updates(self) -> int:
        """Return the number of steps of all epochs."""
        return self.settings.epochs * self.batches


def furnish(
    model: nn.Module, dataset: Dataset, settings: TrainSettings, progress: Progress | None
) -> Workshop:
    """Check that recipe, settings, model and pictures go together, and gather them.

    Raises:
        InvalidInput: they do not; the message says which and why.
    """
    recipe = recipe_of(settings)
    feed = open_feed(dataset, settings)
    return Workshop(model, recipe, feed, check_fit(model, feed), settings, progress)
