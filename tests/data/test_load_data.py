import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from epsball.data import DATASETS, DataSpec, default_eps, load_data
from epsball.errors import InvalidInput
from epsball.types import Dataset

Refusal = Callable[..., str]


def _of_shape(*shape: int) -> Dataset:
    channels, height, width = shape
    return Dataset("npz:x", np.zeros(1, np.int64), ("0",), (channels, height, width), np.zeros)


def test_table_has_every_source_and_is_frozen() -> None:
    names = ["digits", "mnist", "cifar10", "imagenet-sample", "folder", "npz", "table", "image"]
    assert list(DATASETS) == names
    assert [name for name, spec in DATASETS.items() if spec.takes_path] == names[4:]
    assert all(spec.source and spec.form.startswith(name) for name, spec in DATASETS.items())
    with pytest.raises(dataclasses.FrozenInstanceError):
        DATASETS["digits"].eps = ()  # type: ignore[misc]  # the fault under test


@pytest.mark.parametrize(
    ("spec", "nearest"), [("cifar-10", "cifar10"), ("minst", "mnist"), ("foldr:/tmp/x", "folder")]
)
def test_unknown_name_gets_the_nearest(spec: str, nearest: str, refusal: Refusal) -> None:
    assert f"did you mean '{nearest}'?" in refusal(load_data, spec)


def test_bare_path_gets_its_prefix(tmp_path: Path, refusal: Refusal) -> None:
    assert f"did you mean 'folder:{tmp_path}'?" in refusal(load_data, str(tmp_path))
    assert "did you mean 'npz:some.npz'?" in refusal(load_data, "some.npz")


@pytest.mark.parametrize("spec", ["mnist:/tmp", "digits:", "folder", "folder:", "npz", "npz:"])
def test_wrong_form_is_refused(spec: str, refusal: Refusal) -> None:
    assert "must have the form" in refusal(load_data, spec)


def test_unknown_split_is_refused(refusal: Refusal) -> None:
    assert "unknown split 'tests': did you mean 'test'?" in refusal(
        load_data, "digits", split="tests"
    )


@pytest.mark.parametrize(
    ("shape", "eps"),
    [
        ((1, 28, 28), (0.1, 0.2, 0.3)),
        ((1, 32, 32), (0.1, 0.2, 0.3)),
        ((3, 32, 32), (2 / 255, 4 / 255, 8 / 255)),
        ((1, 64, 64), (2 / 255, 4 / 255, 8 / 255)),
        ((3, 224, 224), (1 / 255, 4 / 255)),
        ((1, 28, 224), (1 / 255, 4 / 255)),
    ],
)
def test_defaults_follow_the_shape(shape: tuple[int, ...], eps: tuple[float, ...]) -> None:
    assert default_eps(_of_shape(*shape)) == eps
    assert max(default_eps(_of_shape(*shape), "l2")) > 3 * max(eps)


def test_defaults_of_a_named_set_come_from_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = load_data("digits")
    assert default_eps(digits) == DATASETS["digits"].eps
    other = DataSpec("digits", "made up", load_data, eps=(9.0,))
    monkeypatch.setitem(DATASETS, "digits", other)
    assert default_eps(digits) == (9.0,)
    assert default_eps(digits, "l2") == (0.5, 1.0, 2.0)


def test_room_does_not_load_torch() -> None:
    code = (
        "import sys, epsball.data as d; x = d.load_data('digits'); x.read(d.choose(x.labels, 5));"
        "assert 'torch' not in sys.modules; d.to_unit; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_import_loads_no_source() -> None:
    code = "import sys, epsball.data; assert not {'numpy', 'PIL', 'pooch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_room_has_no_other_names() -> None:
    import epsball.data

    assert {"DATASETS", "load_data", "to_unit"} <= set(dir(epsball.data))
    with pytest.raises(AttributeError, match="attribute 'load_dat'|attribute load_dat"):
        getattr(epsball.data, "load_" + "dat")


def test_data_set_travels_to_another_process() -> None:
    digits = load_data("digits")
    copy = pickle.loads(pickle.dumps(digits))
    assert (copy.read(np.arange(4)) == digits.read(np.arange(4))).all()


def test_error_is_also_a_value_error() -> None:
    with pytest.raises(ValueError, match="unknown data"):
        load_data("nothing")
    assert issubclass(InvalidInput, ValueError)
