"""Which epoch is best, and when patience runs out."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epsball.training import EpochRow, TrainSettings
from epsball.training.run.history import History


def after(losses: Sequence[float | None], settings: TrainSettings) -> History:
    history = History()
    for epoch, loss in enumerate(losses, 1):
        row = EpochRow(epoch, 1.0, 0.5, loss, None if loss is None else 0.5, 0.1, 0.0, 10)
        history = history.after(row, settings)
    return history


@pytest.mark.parametrize(
    ("losses", "best", "waited"),
    [
        ([3.0, 2.0, 1.0], 3, 0),
        ([1.0, 2.0, 3.0], 1, 2),
        ([3.0, 1.0, 1.0], 2, 1),
        ([1.0, 0.95, 0.91], 3, 2),  # creeps: better epochs, but none by more than 0.1
        ([1.0, 0.95, 0.89], 3, 0),  # together they do clear the bar
        ([None, None], 2, 0),
    ],
)
def test_best_epoch_and_patience(losses: list[float | None], best: int, waited: int) -> None:
    history = after(losses, TrainSettings(min_delta=0.1))
    assert (history.best_epoch, history.waited) == (best, waited)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12))
def test_the_best_epoch_is_the_first_of_the_lowest_losses(losses: list[float]) -> None:
    assert after(losses, TrainSettings()).best_epoch == losses.index(min(losses)) + 1


def test_a_run_is_over_after_its_epochs_or_its_patience() -> None:
    settings = TrainSettings(epochs=5, patience=2)
    assert not after([1.0, 2.0], settings).is_over(settings)
    assert after([1.0, 2.0, 2.0], settings).is_over(settings)
    assert after([5.0, 4.0, 3.0, 2.0, 1.0], settings).is_over(settings)
    assert not after([1.0, 2.0, 2.0], settings).is_over(settings.changed(patience=None))


def test_a_history_survives_being_written_down() -> None:
    history = after([0.1, 0.3, 1 / 3], TrainSettings())
    assert History.from_text(history.as_text()) == history
