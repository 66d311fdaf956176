import numpy as np
import polars as pl
import pytest

from epsball.errors import InvalidInput
from epsball.kinds.goals import goal_rates, source_to_target
from epsball.kinds.labelling import KINDS, kind_shares, kinds_of, label_records
from epsball.kinds.relatives import related_by

RELATED = np.zeros((8, 8), dtype=bool)
RELATED[0, 1] = RELATED[1, 0] = True
TOP = [0, 1, 2, 3, 4]
WRONG_TOP = [5, 0, 2, 3, 4]


@pytest.mark.parametrize(
    ("top", "prediction", "kind"),
    [
        (TOP, 0, "not fooled"),
        (WRONG_TOP, 5, "not fooled"),
        (WRONG_TOP, 0, "benign"),
        (WRONG_TOP, 1, "wrong to wrong"),
        (TOP, 1, "co-natural"),  # and in the top five: co-natural comes first
        (TOP, 2, "re-focused"),
        (TOP, 7, "true"),
        (TOP, 8, "not fooled"),  # a rejection
        (TOP, -1, "not fooled"),
    ],
)
def test_precedence(top: list[int], prediction: int, kind: str) -> None:
    one = kinds_of(np.array([0]), np.array([top]), np.array([prediction]), RELATED)
    assert one.tolist() == [kind]
    assert kind in KINDS


def test_shares_are_of_the_fooled_images() -> None:
    records = pl.DataFrame(
        {"label": [0] * 4, "clean_top5": [TOP] * 4, "prediction": [0, 1, 7, 7], "eps": [0.1] * 4}
    )
    shares = kind_shares(label_records(records, RELATED), ["eps"])
    result = {row["kind"]: (row["count"], row["share"]) for row in shares.iter_rows(named=True)}
    assert result == {"not fooled": (1, None), "co-natural": (1, 1 / 3), "true": (2, 2 / 3)}


def test_confusion_needs_more_than_one_mistake() -> None:
    names = ["a", "b", "c"]
    labels, said = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 2, 2])
    related = related_by("confusion", names, labels, said)
    assert related.tolist() == [[False, True, False], [True, False, False], [False] * 3]


def test_wordnet_is_for_imagenet() -> None:
    nothing = np.zeros(0, np.int64)
    with pytest.raises(InvalidInput, match="1000 classes of ImageNet, got 10"):
        related_by("wordnet", [str(i) for i in range(10)], nothing, nothing)
    related = related_by("wordnet", [str(i) for i in range(1000)], nothing, nothing)
    assert related[261, 230]
    assert not related[261, 261]
    assert not related[959, 840]


def test_goals() -> None:
    records = pl.DataFrame(
        {
            "label": [0, 0, 1, 2],
            "clean_prediction": [0, 0, 1, 0],
            "prediction": [1, 0, 1, 0],
            "clean_confidence": [0.9, 0.9, 0.9, 0.5],
            "confidence": [0.8, 0.5, 0.95, 0.5],
            "target": [1, 1, 1, 1],
        }
    )
    rates = {rate.goal: (rate.reached, rate.of) for rate in goal_rates(records, 3)}
    assert rates == {
        "confidence reduction": (2, 4),
        "misclassification": (1, 3),
        "own-class": (1, 4),
        "targeted": (1, 3),  # the third image had the target before
        "source-to-target": (1, 2),
    }
    assert goal_rates(records, 3)[-1].note == "0 to 1"
    assert goal_rates(records.drop("target"), 3)[3].rate is None


def test_source_to_target_leaves_rejections_out() -> None:
    counts = source_to_target(np.array([0, 1, 1]), np.array([2, 0, 0]), 2)
    assert counts.tolist() == [[0, 0], [2, 0]]
