"""Judging a model that rejects and whose answers are known: +- (a - b), and 0.1 for rejection."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.studies.judge.engine import engine_for, keep_open
from epsball.studies.judge.rejecting import judge_attacked, judge_stored, store_successes
from epsball.studies.judge.strip import attack_strip
from epsball.studies.judge.verdicts import judge_unchecked, judge_verdicts
from epsball.types import Dataset, ModelInfo

ATTACK = "rejection:steps=40"
REJECT = 0.1
# (a, b), label: three that stand by 0.2; one that is rejected; one that stands, labelled wrongly
IMAGES = [((0.6, 0.4), 0)] * 3 + [((0.52, 0.48), 0), ((0.6, 0.4), 1)]
# eps in L2 moves a - b by sqrt(2) eps: at NEAR all that were right stay so, at REJECTED they are
# between -0.1 and 0.1, at FOOLED below -0.1
NEAR, REJECTED, FOOLED = 0.05, 0.09, 0.3


class Rejecting(nn.Module):
    """Two classes and rejection."""

    info = ModelInfo(classes=2, rejects=True)

    def forward(self, inputs: Tensor) -> Tensor:
        lead = inputs.flatten(1)[:, 0] - inputs.flatten(1)[:, 1]
        return torch.stack([lead, -lead, torch.full_like(lead, REJECT)], dim=1)


class Bare(nn.Module):
    """The same without rejection."""

    def forward(self, inputs: Tensor) -> Tensor:
        lead = inputs.flatten(1)[:, 0] - inputs.flatten(1)[:, 1]
        return torch.stack([lead, -lead], dim=1)


def images() -> Dataset:
    images = np.array([pair for pair, _ in IMAGES], np.float32).reshape(-1, 1, 1, 2)
    labels = np.array([label for _, label in IMAGES])
    return Dataset("made", labels, ("a", "b"), (1, 1, 2), lambda rows: images[rows])


def attacked(eps: float, model: nn.Module | None = None, **more: Any) -> list[Mapping[str, Any]]:
    model = Rejecting().eval() if model is None else model
    return list(judge_attacked(model, images(), ATTACK, eps, name="source", seed=0, **more))


def test_a_rejected_clean_image_is_wrong() -> None:
    row = attacked(0.0)[0]
    assert (row["attack"], row["eps"], row["n"]) == ("none", 0.0, 5)
    assert (row["right"], row["accuracy"]) == (3, pytest.approx(0.6))
    assert (row["rejected"], row["named"]) == (pytest.approx(0.2), pytest.approx(0.8))
    assert "auroc" not in row  # nothing was attacked


@pytest.mark.parametrize(
    ("eps", "right", "rejected", "named"),
    [(NEAR, 4, 1, 3), (REJECTED, 4, 4, 3), (FOOLED, 0, 0, 0)],
)
def test_a_rejected_attacked_image_is_right(
    eps: float, right: int, rejected: int, named: int
) -> None:
    row = attacked(eps)[0]
    assert (row["attack"], row["eps"]) == ("source", eps)
    assert row["right"] == right
    assert row["rejected"] == pytest.approx(rejected / 5)
    assert row["named"] == pytest.approx(named / 5)
    assert 0 < row["moved"] <= eps + 1e-6
    assert row["backwards"] > 0


def test_verdicts_without_checks_are_those_of_an_audit(tmp_path: Path) -> None:
    model, radii = Rejecting().eval(), [NEAR, REJECTED, FOOLED]
    options: dict[str, Any] = {"restarts": 1, "seed": 0, "norm": "l2"}
    quick = judge_unchecked(model, images(), ATTACK, radii, **options)
    checked = judge_verdicts(model, images(), ATTACK, radii, run=tmp_path / "run", **options)
    assert [row["eps"] for row in quick] == radii
    assert [row["right"] for row in quick] == [4, 4, 0]  # a wrong clean one is not attacked
    assert [row["right"] for row in checked] == [4, 4, 0]
    shared = {"attack", "eps", "n", "right", "accuracy", "steps", "restarts", "mode"}
    for one, other in zip(quick, checked, strict=True):
        assert {name: one[name] for name in shared} == {name: other[name] for name in shared}
    # what is wrong when clean, or fooled by a step, costs no more than a full walk of the others
    assert [row["backwards"] for row in quick] == [row["backwards"] for row in checked]


def test_a_model_that_does_not_reject_is_right_where_it_names_the_label() -> None:
    bare = Bare().eval()
    assert [attacked(eps, bare)[0]["right"] for eps in (0.0, NEAR, FOOLED)] == [4, 3, 0]
    row = attacked(FOOLED, bare)[0]
    assert row["rejected"] == 0
    assert "auroc" not in row
    assert not [one for one in attacked(0.0, bare) if one["mode"] == "coverage"]


def test_what_gives_attacked_images_away() -> None:
    # acceptance is the lead over rejection; of the four named rightly, clean 0.1 three times and
    # -0.06, at REJECTED between -0.03 and -0.01: three in four are above, one is below
    assert attacked(REJECTED)[0]["auroc"] == pytest.approx(0.75)
    # fooled ones are trusted more than clean ones
    row = attacked(FOOLED)[0]
    assert row["auroc"] == 0
    assert row["safe_at_1%"] == 0


def test_accuracy_among_the_most_trusted() -> None:
    result = [row for row in attacked(0.0) if row["mode"] == "coverage"]
    assert {row["at_eps"] for row in result} == {0.0}
    assert result[-1]["coverage"] == 1
    assert result[-1]["accepted_accuracy"] == pytest.approx(0.8)  # named rightly
    assert result[0]["accepted_accuracy"] == pytest.approx(
        0.75
    )  # of four alike one is labelled wrongly


def test_what_was_made_on_one_model_is_shown_to_another(tmp_path: Path) -> None:
    file = tmp_path / "examples" / "made.npz"
    attacked(REJECTED, Bare().eval(), file=file)
    row = judge_stored(Rejecting().eval(), images(), file, REJECTED, name="limited")[0]
    assert (row["attack"], row["eps"], row["right"]) == ("limited", REJECTED, 4)
    file.unlink()
    with pytest.raises(InvalidInput, match=r"made\.npz is missing"):
        judge_stored(Rejecting().eval(), images(), file, REJECTED, name="limited")


# a clean image that is rejected passes as no other class; the one labelled wrongly does already
@pytest.mark.parametrize(("eps", "kept"), [(REJECTED, 0), (FOOLED, 4)])
def test_kept_is_what_passes_as_another_class_and_did_not(
    tmp_path: Path, eps: float, kept: int
) -> None:
    file = tmp_path / "kept.npz"
    model = Rejecting().eval()
    row = store_successes(model, images(), ATTACK, eps, seed=0, file=file)[0]
    assert (row["n"], row["kept"]) == (5, kept)
    with np.load(file) as result:
        assert result["images"].shape == (kept, 1, 1, 2)
        assert result["labels"].tolist() == [0] * kept
        fooled = model(torch.from_numpy(result["images"])).argmax(1)
    assert (fooled == 1).all()


def test_a_held_model_is_opened_and_copied_once_and_judged_alike() -> None:
    model, other = Rejecting().eval(), Rejecting().eval()
    rows = attacked(REJECTED, model, precision="float32-copy")
    assert attacked(REJECTED, model, precision="float32-copy") == rows
    copied = [engine_for(model, images(), 0, precision="float32-copy").surrogate for _ in range(2)]
    assert copied[0] is not copied[1]
    keep_open(model)
    assert attacked(REJECTED, model, precision="float32-copy") == rows
    keep_open(model)
    copied = [engine_for(model, images(), 0, precision="float32-copy").surrogate for _ in range(2)]
    assert copied[0] is copied[1]
    assert engine_for(model, images(), 0).surrogate is None
    keep_open(other)  # one at a time: the first is forgotten
    assert engine_for(model, images(), 0, precision="float32-copy").surrogate is not copied[0]


def test_a_strip_says_what_was_rejected_and_that_it_held(tmp_path: Path) -> None:
    rows = attack_strip(
        Rejecting().eval(),
        images(),
        ATTACK,
        [REJECTED, FOOLED],
        label=0,
        norm="l2",
        file=tmp_path / "strip.npz",
    )
    assert [(r["prediction"], r["right"]) for r in rows] == [("a", 1), ("rejected", 1), ("b", 0)]
    rejected = Dataset(
        "made",
        np.array([0]),
        ("a", "b"),
        (1, 1, 2),
        lambda rows: np.array([[[[0.52, 0.48]]]], np.float32)[rows],
    )
    clean = attack_strip(
        Rejecting().eval(), rejected, ATTACK, [NEAR], label=0, norm="l2", file=tmp_path / "x.npz"
    )[0]
    assert (clean["prediction"], clean["right"]) == ("rejected", 0)
