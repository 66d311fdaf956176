"""Labels of the data as classes of the model: matched, moved or refused, never guessed."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from epsball.data import load_data
from epsball.errors import InvalidInput
from epsball.evaluation.class_matching import Classes, fit_classes, fit_labels
from epsball.evaluation.subject import open_model
from epsball.models import class_names_of
from epsball.types import Dataset

_ANIMALS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")


def _data(labels: list[int], names: tuple[str, ...], order: str = "names") -> Dataset:
    return Dataset(
        "folder:pics@32",
        np.array(labels),
        names,
        (1, 2, 2),
        lambda rows: np.zeros((len(rows), 1, 2, 2), np.uint8),
        order,  # type: ignore[arg-type]  # one of three
    )


def _fitted(
    data: Dataset, names: tuple[str, ...] | None, classes: Classes = None, offset: int = 0
) -> list[int]:
    count = 8 if names is None else len(names)
    fitted, _ = fit_classes(data, "net", count, names, classes=classes, offset=offset)
    return fitted.labels.tolist()  # type: ignore[no-any-return]  # integers


@given(st.permutations(_ANIMALS), st.sets(st.sampled_from(_ANIMALS), min_size=1))
def test_whatever_the_order_of_the_model_names_decide(order: list[str], some: set[str]) -> None:
    folders = tuple(sorted(some))
    data = _data(list(range(len(folders))), folders)
    expected = [order.index(name) for name in folders]
    assert _fitted(data, tuple(order)) == expected
    assert _fitted(data, None, classes=order) == expected
    assert _fitted(data, None, classes=dict(reversed(list(enumerate(order))))) == expected


def test_names_agree_whatever_their_letters_and_aliases() -> None:
    names = ("tench, Tinca tinca", "great white shark, white shark", "n01\tcock", "hot dog")
    data = _data([0, 1, 2, 3], ("Hot-Dog", "N01", "TINCA_TINCA", "white shark"))
    assert _fitted(data, names) == [3, 2, 0, 1]


def test_a_name_that_two_classes_have_is_refused_only_where_it_is_needed() -> None:
    names = ("crane", "drake", "crane", "egret")
    assert _fitted(_data([0, 1], ("drake", "egret")), names) == [1, 3]
    with pytest.raises(InvalidInput, match="class 'crane' is classes 0 and 2 of net"):
        _fitted(_data([0, 1], ("crane", "egret")), names)
    mended = ["bird\tcrane", "drake", "machine\tcrane", "egret"]
    assert _fitted(_data([0, 1], ("machine", "egret")), names, classes=mended) == [2, 3]


def test_some_of_the_classes_of_a_model_without_names_are_refused(tmp_path: Path) -> None:
    data = _data([0, 1, 2], ("cat", "dog", "hen"))
    with pytest.raises(InvalidInput, match="it cannot be told which") as refused:
        _fitted(data, None)
    assert "in pics/classes.txt (or --classes FILE)" in str(refused.value)
    (tmp_path / "list.txt").write_text("\n".join(_ANIMALS) + "\n")
    assert _fitted(data, None, classes=tmp_path / "list.txt") == [2, 3, 7]


def test_all_classes_of_a_model_without_names_are_taken_in_their_order() -> None:
    assert _fitted(_data(list(range(8)), _ANIMALS), None) == list(range(8))


def test_a_class_that_the_model_does_not_name_is_refused() -> None:
    with pytest.raises(InvalidInput, match="class 'yak' is none of the 8 classes that net names"):
        _fitted(_data([0, 1], ("cat", "yak")), _ANIMALS)


def test_a_list_of_another_length_or_without_a_class_is_refused(tmp_path: Path) -> None:
    data = _data([0, 1], ("cat", "yak"))
    with pytest.raises(InvalidInput, match="must list the 8 classes of net, found 2 lines"):
        _fitted(data, None, classes=["cat", "yak"])
    with pytest.raises(InvalidInput, match="class 'yak' is not among the 8 names"):
        _fitted(data, None, classes=_ANIMALS)
    with pytest.raises(InvalidInput, match="must be a text file of one class name a line"):
        _fitted(data, None, classes=tmp_path / "none.txt")


def test_stated_labels_stay_where_names_say_nothing() -> None:
    data = _data([5, 0], tuple("012345"), "stated")
    assert _fitted(data, _ANIMALS) == [5, 0]
    assert _fitted(data, None) == [5, 0]


def test_an_offset_moves_labels_and_names() -> None:
    data = _data([0, 2], ("a", "b", "c"), "stated")
    fitted, _ = fit_classes(data, "net", 8, None, offset=1)
    assert fitted.labels.tolist() == [1, 3]
    assert [fitted.class_names[label] for label in fitted.labels] == ["a", "c"]
    with pytest.raises(InvalidInput, match="--label-offset -1 makes label -1 of label 0"):
        _fitted(data, None, offset=-1)


def test_names_are_read_off_models() -> None:
    class Config:
        id2label = {1: "dog", 0: "cat"}  # noqa: RUF012 - as transformers has it

    net = nn.Linear(2, 2)
    assert class_names_of(net) is None
    net.config = Config()  # type: ignore[assignment]  # torch takes any attribute
    assert class_names_of(nn.Sequential(net)) == ("cat", "dog")
    net.config.id2label = {0: "LABEL_0", 1: "LABEL_1"}  # type: ignore[union-attr]
    assert class_names_of(net) is None


def test_a_stated_order_that_no_name_contradicts_holds() -> None:
    labels = np.arange(3)
    named = ("tench", "crane (n02012849)", "goldfish")
    data = Dataset("given", labels, named, (1, 2, 2), lambda rows: np.zeros((len(rows), 1, 2, 2)))
    fitted, findings = fit_classes(data, "net", 3, ("tench", "crane bird", "goldfish"))
    assert fitted.labels.tolist() == [0, 1, 2]
    assert findings == []
    with pytest.raises(InvalidInput, match="is none of the 3 classes"):
        fit_classes(data, "net", 3, ("goldfish", "crane bird", "tench"))


def test_an_alias_in_its_own_place_is_no_contradiction() -> None:
    names = ("tench", "Cardigan, Cardigan Welsh corgi", "crane bird", "cardigan")
    data = _data([0, 1, 2, 3], ("tench", "Cardigan", "crane (n02012849)", "cardigan"), "stated")
    assert _fitted(data, names) == [0, 1, 2, 3]
    folders = _data([0, 1], ("cardigan", "tench"))  # without an order the whole name decides
    assert _fitted(folders, names) == [3, 0]


@pytest.mark.data
def test_the_shipped_model_and_its_data_agree_on_every_class() -> None:
    data = load_data("imagenet-sample")
    subject = open_model("zoo:squeezenet", torch.zeros(1, 3, 224, 224), "cpu")
    fitted, findings = fit_labels(subject, data)
    assert fitted.labels.tolist() == data.labels.tolist()
    assert findings == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_classes_may_begin_with_a_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\r\n".join(_ANIMALS[::-1]), encoding=encoding)
    assert _fitted(_data([0, 7], _ANIMALS), None, classes=tmp_path / "list.txt") == [7, 0]


def test_letters_with_accents_are_composed_before_names_are_compared() -> None:
    names = tuple(unicodedata.normalize("NFD", name) for name in ("été", "café", "bébé"))
    assert _fitted(_data([0, 1, 2], ("bébé", "café", "été")), names) == [2, 1, 0]


@pytest.mark.parametrize("classes", [None, _ANIMALS])
def test_an_offset_beside_names_is_refused(classes: Classes) -> None:
    with pytest.raises(InvalidInput, match="--label-offset 1 would move labels"):
        _fitted(_data([0, 1], _ANIMALS), _ANIMALS, classes=classes, offset=1)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("CLASSES", ["dog", "cat"]),
        ("idx_to_class", {0: "dog", 1: "cat"}),
        ("id2label", {"1": "cat", "0": "dog"}),
        ("class_to_idx", {"cat": 1, "dog": 0}),
        ("label2id", {"cat": 1, "dog": 0}),
    ],
)
def test_names_of_classes_are_read_under_every_usual_name(attribute: str, value: object) -> None:
    model = nn.Linear(2, 2)
    setattr(model, attribute, value)
    assert class_names_of(model) == ("dog", "cat")
