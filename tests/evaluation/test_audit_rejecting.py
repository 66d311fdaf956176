"""Audits of a model that rejects: what counts, what is written, what is not called a doubt."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epsball import audit
from epsball.attacks import hopskipjump
from epsball.data import load_data
from epsball.evaluation.engine.examples import Examples, read_scores
from epsball.evaluation.engine.starts import choose_starts
from epsball.evaluation.metrics.acceptance import auroc
from epsball.evaluation.records.schema import SCHEMA, read_records
from epsball.evaluation.result import Audit
from epsball.report.audit.page import write_report
from epsball.types import ModelInfo
from epsball.workflows.clean import clean_accuracy

CLASSES = 10
# what needs no remedy here: the images are few and the eps are what they are
HARMLESS = {"below-8-bit", "lost-at-8-bits", "low-precision-search"}


class Confident(nn.Module):
    """Accepts where the largest softmax probability is above a bar; scores are log-odds."""

    info = ModelInfo(CLASSES, rejects=True, gives="log-odds")

    def __init__(self, model: nn.Module, bar: float) -> None:
        super().__init__()
        self.model, self.bar = model, bar

    def forward(self, inputs: Tensor) -> Tensor:
        logits = self.model(inputs)
        others = [logits[:, torch.arange(CLASSES) != i] for i in range(CLASSES)]
        rest = torch.stack([scores.logsumexp(1) for scores in others], 1)
        odds = logits - rest
        reject = torch.full_like(odds[:, :1], float(np.log(self.bar / (1 - self.bar))))
        return torch.cat((odds, reject), 1)


@pytest.fixture(scope="module")
def sample_images() -> tuple[Tensor, Tensor]:
    digits = load_data("digits")
    images = torch.from_numpy(np.asarray(digits.read(np.arange(len(digits)))))
    images = images.float() / (255 if images.dtype == torch.uint8 else 1)
    return images, torch.from_numpy(digits.labels)


@pytest.fixture(scope="module")
def model(sample_images: tuple[Tensor, Tensor]) -> nn.Module:
    torch.manual_seed(0)
    images, labels = sample_images
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * (images.shape[2] // 2) * (images.shape[3] // 2), 32),
        nn.ReLU(),
        nn.Linear(32, CLASSES),
    )
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for step in range(200):
        rows = torch.arange(step * 64, step * 64 + 64) % (len(images) - 200)
        loss = nn.functional.cross_entropy(net(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
    return Confident(net, 0.9).eval()


@pytest.fixture(scope="module")
def few(sample_images: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return sample_images[0][-100:], sample_images[1][-100:]


@pytest.fixture(scope="module")
def whole(
    model: nn.Module, few: tuple[Tensor, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Audit:
    return audit(
        model,
        few,
        attacks=["pgd", "rejection", "noise"],
        norm="l2",
        eps=[0.3, 0.8],
        full_budget=True,
        out=tmp_path_factory.mktemp("runs") / "run",
    )


@pytest.mark.slow
def test_an_honest_rejecting_model_raises_no_doubt(whole: Audit) -> None:
    assert {finding.code for finding in whole.findings} <= HARMLESS


def test_what_is_rejected_counts_for_the_model_only_under_attack(whole: Audit) -> None:
    records = whole.records
    assert records.schema == SCHEMA
    right = records["prediction"] == records["label"]
    assert (records["safe"] == (right | records["rejected"])).all()
    assert (records["rejected"] == (records["acceptance"] < 0)).all()
    assert (records["clean_rejected"] == (records["clean_acceptance"] < 0)).all()
    clean = whole.summary["clean"]
    one = records.unique("index")
    assert clean["accuracy"] == pytest.approx((one["clean_prediction"] == one["label"]).mean())
    assert 0 < clean["rejected"] < 0.5
    accepted = one.filter(~one["clean_rejected"])
    share = (accepted["clean_prediction"] == accepted["label"]).mean()
    assert clean["accepted_accuracy"] == pytest.approx(share)
    low, high = clean["accepted_accuracy_ci"]
    assert low < clean["accepted_accuracy"] < high
    for result in whole.summary["results"]:
        own = records.filter(variant=result["variant"], eps=result["eps"])
        assert result["robust_accuracy"] == pytest.approx(own["safe"].mean())
        assert result["rejected"] == pytest.approx(own["rejected"].mean())


def test_confidence_is_the_sigmoid_of_the_winning_column(
    whole: Audit, model: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    one = whole.records.filter(variant="pgd", eps=0.3).sort("index")
    with torch.no_grad():
        expected = model(few[0]).amax(1).double().sigmoid().tolist()
    assert one["clean_confidence"].to_list() == pytest.approx(expected)
    rejected = one.filter("clean_rejected")["clean_confidence"]
    assert rejected.to_list() == pytest.approx([0.9] * len(rejected))


def test_the_summary_tells_attacked_from_clean(whole: Audit) -> None:
    result = whole.summary["rejection"]
    assert [(t["variant"], t["eps"]) for t in result] == [
        (r["variant"], r["eps"]) for r in whole.summary["results"]
    ]
    own = whole.records.filter(variant="rejection", eps=0.8)
    named = own.filter(own["clean_top5"].list.first() == own["label"])
    entry = next(t for t in result if t["variant"] == "rejection" and t["eps"] == 0.8)
    assert entry["n"] == len(named)
    assert entry["auroc"] == auroc(named["clean_acceptance"], named["acceptance"])
    noise = next(t for t in result if t["variant"] == "noise" and t["eps"] == 0.8)
    assert noise["auroc_ci"][0] < 0.5 < noise["auroc_ci"][1]
    for at in entry["at"]:
        below = (named["clean_acceptance"] < at["threshold"]).mean()
        assert below <= at["false_rejection"]
    json.dumps(result)


def test_the_attack_that_knows_beats_the_one_on_the_bare_network(
    whole: Audit, model: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    from epsball.attacks import pgd
    from epsball.objectives import is_adversarial

    network = next(model.children())
    bare = pgd(network, *few, eps=0.8, norm="l2", generator=torch.Generator().manual_seed(0))
    carried = is_adversarial(model(bare), few[1], classes=CLASSES).float().mean()
    knowing = next(
        r for r in whole.summary["results"] if r["variant"] == "rejection" and r["eps"] == 0.8
    )
    assert 1 - knowing["robust_accuracy"] > float(carried)


def test_report_of_a_rejecting_model(whole: Audit) -> None:
    assert whole.path is not None
    page = write_report(whole.path).read_text(encoding="utf-8")
    assert "What is rejected, with 95 % intervals" in page
    assert f"{whole.summary['rejection'][-1]['auroc']:.3f}" in page


def test_verdicts_agree_with_the_full_budget(
    whole: Audit, model: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    report = audit(model, few, attacks=["pgd", "rejection", "noise"], norm="l2", eps=[0.3, 0.8])
    assert {doubt.code for doubt in report.findings} <= HARMLESS
    assert report.summary["rejection"] == []
    assert report.records["acceptance"].null_count() == len(report.records)
    # a clean image that is rejected is attacked as well: it may yet be accepted as another class
    clean = report.records.filter("clean_rejected", variant="pgd", eps=0.3)
    assert (clean["forwards"] > 0).all()
    for ours, theirs in zip(report.summary["results"], whole.summary["results"], strict=True):
        assert ours["robust_accuracy"] == pytest.approx(theirs["robust_accuracy"], abs=0.03)


@pytest.mark.slow
def test_strongest_and_blind_attacks(model: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    options = ["rejection", "square:queries=300", "strongest"]
    report = audit(model, few, attacks=options, norm="l2", eps=[0.8], limit=40)
    left = {r["variant"]: r["robust_accuracy"] for r in report.summary["results"]}
    assert left["strongest"] <= min(left.values())
    assert not {"noise-as-strong", "black-box-stronger"} & {f.code for f in report.findings}


def test_clean_accuracy_counts_no_rejection(model: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    share, (low, high), count = clean_accuracy(model, few)
    with torch.no_grad():
        right = (model(few[0]).argmax(1) == few[1]).float().mean()
    assert share == pytest.approx(float(right))
    assert low < share < high
    assert count == 100


def test_records_of_an_older_version_are_read(whole: Audit, tmp_path: Path) -> None:
    assert whole.path is not None
    old = tmp_path / "records"
    old.mkdir()
    kept = whole.records.drop("acceptance", "clean_acceptance")
    kept.write_parquet(old / "00000-pgd.parquet")
    again = read_records(tmp_path)
    assert again.schema == SCHEMA
    assert again["acceptance"].null_count() == len(again)


@pytest.mark.slow
def test_labels_alone_are_enough_where_noise_is_rejected(
    model: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    """Noise, with which hopskipjump begins by itself, is no start here; other images are."""

    class Wary(nn.Module):
        """Rejects what is not dark at its left and right edges."""

        info = model.info

        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = model(inputs)
            edges = inputs[..., [0, -1]]  # which no digit reaches
            noisy = edges.flatten(1).mean(1) > 0.1
            return torch.cat((scores[:, :-1], scores[:, -1:] + 1e3 * noisy[:, None]), 1)

    wary, images, labels = Wary().eval(), *few
    adversarial = hopskipjump(
        wary, images, labels, queries=300, generator=torch.Generator().manual_seed(0)
    )
    report = audit(wary, few, attacks=["hopskipjump:queries=300"], norm="l2", eps=[28.0])
    right = report.records.filter(report.records["clean_prediction"] == report.records["label"])
    by_itself = (adversarial != images).flatten(1).any(1)[torch.tensor(right["index"].to_list())]
    assert by_itself.double().mean() < 0.5
    assert right["safe"].sum() == 0


def test_a_start_is_accepted_as_another_class_and_depends_on_no_batch() -> None:
    named = torch.tensor([0, 2, 1, 1])  # of two classes; 2: rejected
    images, labels = torch.arange(4.0).view(4, 1, 1, 1) / 4, torch.zeros(4, dtype=torch.int64)
    info = ModelInfo(classes=2, rejects=True)
    clean = read_scores(torch.eye(3)[named], labels, info)
    pool = Examples(images, labels, torch.arange(4), clean)
    own = Examples(
        torch.full((4, 1, 1, 1), 0.9), torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 3])
    )
    starts = choose_starts(pool, own)
    assert starts.flatten().tolist() == [0.5, 0, 0, 0.75]
    for row in range(4):
        one = slice(row, row + 1)
        assert torch.equal(choose_starts(pool, own.rows(one)), starts[one])
    none = choose_starts(pool.rows(slice(0, 2)), own.rows(slice(0, 1)))
    assert none.item() == pytest.approx(0.9)
