"""What an audit gives back in a console and a notebook, and the forms its arguments may have."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import epsball
from epsball import EpsballError, audit
from epsball.attacks import fgsm

MODEL = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).eval()
IMAGES = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
DATA = (IMAGES, MODEL(IMAGES).argmax(1))


def test_completion_shows_what_there_is() -> None:
    for name in ("audit", "Audit", "attacks", "load_model", "load_data", "EpsballError", "models"):
        assert name in dir(epsball)
        assert getattr(epsball, name) is not None


def test_the_answer_is_readable_where_it_is_printed(tmp_path: Path) -> None:
    report = audit(MODEL, DATA, attack="fgsm", eps="0.1,1/4", limit=10)
    text, page = repr(report), report._repr_html_()
    assert report.headline is not None
    for shown in (report.headline, "fgsm", "0.25", "worst case", "95 % interval"):
        assert shown in text
        assert shown in page
    assert "info" not in text
    assert len(text.splitlines()) < 15
    assert report.images is not None
    clean, adversarial = report.images.clean, report.images.adversarial["fgsm", "linf", 0.25]
    assert clean.shape == adversarial.shape
    assert np.abs(adversarial - clean).max() <= 0.25 + 1e-6
    assert report.path is None


def test_a_blocked_audit_says_why_and_gives_no_rate() -> None:
    report = audit(nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(16, 4)), DATA, eps=0.1)
    assert "blocking: train-mode" in repr(report)
    assert "No rate is given" in repr(report)
    assert report.images is None


def test_arguments_have_the_names_and_forms_of_the_options() -> None:
    expected = audit(MODEL, DATA, attacks=["fgsm"], eps=[0.1, 0.25], limit=8).records
    for given in (
        {"attack": "fgsm", "eps": "0.1,1/4", "limit": 8.0},
        {"attack": fgsm, "eps": np.array([0.1, 0.25]), "limit": np.int64(8)},
        {"attack": fgsm, "eps": [0.1, 0.25], "limit": 8, "device": torch.device("cpu")},
        {"attacks": [functools.partial(fgsm)], "eps": ["1/10", 0.25], "limit": torch.tensor(8)},
    ):
        assert audit(MODEL, DATA, **given).records.equals(expected)  # type: ignore[arg-type]  # any of the forms


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"attack": "fgsm", "attacks": "pgd"}, "attacks and attack are one argument"),
        ({"weight": "x"}, "unknown argument of audit 'weight': did you mean 'weights'"),
        ({"limit": "ten"}, "limit must be a whole number, got 'ten'"),
        ({"budget": "soon"}, "--budget must be a time such as 10m"),
        ({"eps": "0.1;0.2"}, "eps must be a number"),
        ({"attack": "fgsm,pdg"}, "unknown attack 'pdg': did you mean 'pgd'"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"norm": "l3"}, "unknown norm 'l3'"),
        ({"norm": 2}, "unknown norm 2: did you mean 'l2'"),
        ({"norm": float("inf")}, "unknown norm inf: did you mean 'linf'"),
        ({"norm": "L2"}, "did you mean 'l2'"),
        ({"attacks": "PGD"}, "did you mean 'pgd'"),
        ({"sample": "random"}, "how must be auto, first or stratified"),
        ({"gate": 0.4}, r"gate must be a Gate, got 0.4; write Gate\(0.4\)"),
        ({"full_budget": "no"}, "full_budget must be True or False, got 'no'"),
        ({"classes": {1: "cat", 2: "dog"}}, "classes must name each class from 0"),
    ],
)
def test_every_refusal_is_ours(given: dict[str, object], says: str) -> None:
    with pytest.raises(EpsballError, match=says):
        audit(MODEL, DATA, **given)  # type: ignore[arg-type]  # the faults under test


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (torch.nn.Flatten, "got the class Flatten: give an object of it"),
        ({"weight": torch.zeros(2)}, "got dict: load weights into their network first"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_network_is_named(model: Any, says: str) -> None:
    with pytest.raises(EpsballError, match=says):
        audit(model, DATA)
