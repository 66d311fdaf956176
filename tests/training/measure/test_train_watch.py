"""The watch: what it measures, what it says, and what it may decide."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from epsball.attacks import fgsm, pgd
from epsball.training import EpochRow, TrainSettings, train
from epsball.training.measure.notes import notes_on
from epsball.training.measure.watch import watched_rows
from epsball.training.run.history import History
from epsball.training.setup.context import build_context
from epsball.training.setup.randomness import seeded
from epsball.types import Dataset

Build = Callable[[], nn.Module]
QUICK = TrainSettings(recipe="fast", eps=0.05, epochs=2, batch_size=20, lr=0.01, validation=0.2)


def watched(epoch: int, clean: float, fgsm: float, pgd: float) -> EpochRow:
    return EpochRow(epoch, 1.0, 0.5, 1.0 / epoch, 0.5, 0.1, 1.0, 100, clean, fgsm, pgd)


def test_it_measures_clean_fgsm_and_pgd_accuracy_on_held_out_images(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    model = build()
    settings = QUICK.changed(epochs=1, precision="float32")
    row = train(model, dataset, settings, out=tmp_path).epochs[0]
    rows = build_context(model, dataset, settings, None).feed.validation_rows
    images = torch.from_numpy(dataset.read(rows)).float() / 255
    labels = torch.from_numpy(dataset.labels[rows])
    starts = seeded(0, 0, "watch")
    halves = [slice(0, 20), slice(20, 40)]
    result = (
        torch.cat([fgsm(model, images[h], labels[h], eps=0.05) for h in halves]),
        torch.cat(
            [pgd(model, images[h], labels[h], eps=0.05, steps=10, generator=starts) for h in halves]
        ),
    )
    with torch.no_grad():
        clean, one, many = (
            (model(points).argmax(1) == labels).double().mean().item()
            for points in (images, *result)
        )
    assert row.watched_accuracy == pytest.approx(clean)
    assert row.fgsm_accuracy == pytest.approx(one)
    assert row.pgd_accuracy == pytest.approx(many)
    assert many < clean


def test_it_changes_nothing_that_is_learned(dataset: Dataset, build: Build, tmp_path: Path) -> None:
    results = [
        train(build(), dataset, QUICK.changed(watch_every=every), out=tmp_path / str(every))
        for every in (0, 1, 2)
    ]
    first, *others = (load_file(result.weights) for result in results)
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)
    looks = [[row.pgd_accuracy is not None for row in result.epochs] for result in results]
    assert looks == [[False, False], [True, True], [False, True]]


def test_without_held_out_images_it_looks_at_training_images(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    result = train(build(), dataset, QUICK.changed(validation=0, epochs=1), out=tmp_path)
    assert result.epochs[0].pgd_accuracy is not None
    assert result.epochs[0].gradient_evaluations == 200 * 2 + 200 * 11


def test_a_standard_run_is_watched_at_a_radius_of_its_own(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    result = train(build(), dataset, TrainSettings(epochs=1, watch_eps=0.3), out=tmp_path)
    row = result.epochs[0]
    assert row.pgd_accuracy is not None
    assert row.watched_accuracy is not None
    assert row.pgd_accuracy <= row.watched_accuracy


def test_it_takes_few_images_and_spreads_them() -> None:
    rows = torch.arange(0, 4000, 2).numpy()
    chosen = watched_rows(rows, rows[:0])
    assert len(chosen) == 300
    assert (chosen[0], chosen[-1]) == (0, 3998)
    assert len(set(chosen.tolist())) == 300


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        ([(0.9, 0.7, 0.6), (0.95, 0.8, 0.1)], ["catastrophic-overfitting"]),
        ([(0.9, 0.7, 0.6), (0.95, 0.8, 0.7)], []),
        ([(0.9, 0.3, 0.05)], []),  # a plain model: PGD finds more, and little was left before
        ([(0.8, 0.9, 0.6)], ["label-leaking"]),
        ([(0.8, 0.95, 0.02)], ["catastrophic-overfitting", "label-leaking"]),
        ([(0.8, 0.81, 0.6)], []),
    ],
)
def test_notes_say_what_a_pattern_means(
    rows: list[tuple[float, float, float]], codes: list[str]
) -> None:
    history = [watched(epoch, *row).as_dict() for epoch, row in enumerate(rows, 1)]
    notes = notes_on(history)
    assert [note.code for note in notes] == codes
    assert all(f"epoch {len(rows)}" in note.message for note in notes)
    assert all(note.remedy and "\n" not in note.message for note in notes)


def test_a_collapse_stops_the_run_where_asked_and_the_best_by_pgd_is_from_before() -> None:
    settings = QUICK.changed(epochs=9, stop_at_collapse=True, best_by="pgd")
    history = History()
    for row in (watched(1, 0.8, 0.6, 0.5), watched(2, 0.9, 0.7, 0.6), watched(3, 0.9, 0.9, 0.0)):
        assert not history.is_over(settings)
        history = history.after(row, settings)
    assert history.is_over(settings)
    assert history.stops_early(settings)
    assert history.best_epoch == 2
    by_loss = QUICK.changed(epochs=9)
    assert not history.is_over(by_loss)
    again = History()
    for row in history.rows:
        again = again.after(row, by_loss)
    assert again.best_epoch == 3
    assert History.from_text(history.as_text()) == history


def test_a_model_that_spoils_one_step_is_told_of(dataset: Dataset, tmp_path: Path) -> None:
    """FGSM, from the image itself, sees a reversed gradient; further on it is the true one."""
    out = tmp_path / "run"
    result = train(Spoiling(), dataset, QUICK.changed(eps=0.1, epochs=6), out=out)
    assert "catastrophic-overfitting" in [note.code for note in result.notes]
    content: dict[str, Any] = json.loads((out / "training.json").read_text())
    assert content["notes"] == [note.as_dict() for note in result.notes]
    assert train(Spoiling(), dataset, QUICK.changed(eps=0.1, epochs=6), out=out) == result


class Spoiling(nn.Module):
    """On images as they are stored, in steps of 1/255, the gradient points the wrong way."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(64, 10)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        stored = ((inputs * 255).round() - inputs * 255).abs().flatten(1).amax(1) < 1e-3
        flat = inputs.flatten(1)
        turned = 2 * flat.detach() - flat
        logits: torch.Tensor = self.layer(torch.where(stored[:, None], turned, flat))
        return logits
