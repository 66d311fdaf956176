"""Targeted attacks of an audit: which class, who reaches it, and what is refused."""

from pathlib import Path

import polars as pl
import pytest
import torch
from tests.evaluation.conftest import CLASSES, sample_images
from torch import Tensor, nn

from epsball import audit
from epsball.attacks import ATTACKS
from epsball.errors import InvalidInput
from epsball.report.audit.page import write_report


class Linear(nn.Module):
    """Scores that are a matrix times the image: every class can be reached."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.matrix = nn.Parameter(torch.randn(16, 4, generator=generator))

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - 0.5).flatten(1) @ self.matrix


MODEL = Linear().eval()
IMAGES = torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.4 + 0.3
LABELS = MODEL(IMAGES).argmax(1)
DATA = (IMAGES, LABELS)


def records(attack: str, target: str | int, eps: float = 0.5, **more: object) -> pl.DataFrame:
    report = audit(MODEL, DATA, attacks=attack, eps=eps, target=target, **more)  # type: ignore[arg-type]  # options of audit
    return report.records


def test_every_rule_names_the_classes_to_reach(tmp_path: Path) -> None:
    least = MODEL(IMAGES).argmin(1).tolist()
    assert records("pgd", "least-likely")["target"].to_list() == least
    following = records("pgd", "next")
    assert following["target"].to_list() == ((LABELS + 1) % 4).tolist()
    assert (following["prediction"] == following["target"]).all()
    one = records("pgd", 2)
    assert one["target"].to_list() == [2] * 24
    assert (one["prediction"] == 2).all()
    (tmp_path / "targets.txt").write_text("\n".join("0123" * 6) + "\n")
    listed = records("pgd", str(tmp_path / "targets.txt"), sample="stratified", limit=10)
    assert listed["target"].to_list() == [index % 4 for index in listed["index"]]


@pytest.mark.parametrize("full", [True, False])
def test_reached_counts_right_images_of_other_classes(full: bool) -> None:
    report = audit(
        MODEL, DATA, attacks=["pgd", "fgsm:target=2"], eps=[0.02, 0.5], target="2", full_budget=full
    )
    others = int((LABELS != 2).sum())
    first, last = (row for row in report.summary["results"] if row["attack"] == "pgd")
    assert first["aimed"] == last["aimed"] == others
    assert 0 <= first["target_reached"] < last["target_reached"] == 1.0
    assert {row["variant"] for row in report.summary["results"]} == {
        "pgd:target=2",
        "fgsm:target=2",
    }
    ends = report.records.filter((pl.col("variant") == "pgd:target=2") & (pl.col("eps") == 0.5))
    assert (ends["prediction"] == 2).all()


@pytest.mark.parametrize(
    "name", ["deepfool", "fab", "fmn", "ddn", "cw", "apgd", "square", "bim", "mifgsm", "strongest"]
)
def test_attacks_of_every_kind_are_led(name: str) -> None:
    frame = records(name, "next", eps=2.0, norm="l2" if "l2" in ATTACKS[name].norms else "linf")
    assert (frame["prediction"] == frame["target"]).mean() > 0.8  # type: ignore[operator]  # a float


def test_the_page_shows_who_reaches_what(tmp_path: Path) -> None:
    audit(MODEL, DATA, attacks="pgd", eps=0.5, target="next", out=tmp_path / "run")
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "Images that reach the class they are to reach" in page
    assert "From source to target" in page


def test_what_cannot_be_reached_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("1\n")
    for attack, target, says in (
        ("pgd", "4", "--target: unknown class '4': .* a number from 0 to 3"),
        ("noise", "next", "none of these attacks can be told a class to reach"),
        ("noise:target=2", "next", "noise: no class can be told to it"),
        ("pgd", str(tmp_path / "short.txt"), "for each of the 24 images .* found 1 lines"),
    ):
        with pytest.raises(InvalidInput, match=says):
            records(attack, target)


def test_names_of_the_data_will_do() -> None:
    images, labels = sample_images(20)
    assert CLASSES > 1
    named = nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES)).eval()
    named.class_names = tuple("abcdefghij"[:CLASSES])  # type: ignore[assignment]  # a plain attribute
    report = audit(named, (images, labels), attacks="fgsm", eps=0.1, target="1")
    assert set(report.records["target"]) == {1}
