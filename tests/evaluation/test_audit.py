"""The main job: numbers against a recomputation from scratch, resume after a kill, time budgets."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests.evaluation.conftest import CLASSES, fit, sample_images
from torch import Tensor, nn

from epsball import audit
from epsball.errors import BrokenContract, InvalidInput
from epsball.evaluation.metrics.statistics import wilson
from epsball.evaluation.records.schema import SCHEMA, read_records
from epsball.evaluation.result import Audit

ASKED: dict[str, Any] = {
    "attacks": ["fgsm", "pgd"],
    "eps": [0.1, 0.2],
    "steps": 5,
    "full_budget": True,
}


@pytest.fixture(scope="module")
def whole(
    model: nn.Module, data: tuple[Tensor, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Audit:
    """A finished run that tests only read."""
    return audit(model, data, out=tmp_path_factory.mktemp("whole") / "run", **ASKED)


def by_hand(model: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    """FGSM in four lines, sharing nothing with the library."""
    point = (images.float() / 255).requires_grad_()
    nn.functional.cross_entropy(model(point), labels, reduction="sum").backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert point.grad is not None
    return (point + eps * point.grad.sign()).clamp(0, 1).detach()


def test_numbers_equal_those_made_by_hand(model: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    report = audit(model, data, attacks=["fgsm"], eps=[0.1, 0.2], full_budget=True)
    images, labels = data
    with torch.no_grad():
        clean = model(images.float() / 255).argmax(1) == labels
    for result, eps in zip(report.summary["results"], (0.1, 0.2), strict=True):
        adv = by_hand(model, images, labels, eps)
        with torch.no_grad():
            scores = model(adv)
        right = scores.argmax(1) == labels
        confidence = scores.double().softmax(1).amax(1)
        assert result["robust_accuracy"] == pytest.approx(right.double().mean().item())
        assert result["robust_accuracy_ci"] == pytest.approx(wilson(int(right.sum()), 60))
        assert result["clean_accuracy"] == pytest.approx(clean.double().mean().item())
        assert result["confidence"] == pytest.approx(confidence.mean().item(), abs=1e-6)
        assert result["confidence_wrong"] == pytest.approx(
            confidence[~right].mean().item(), abs=1e-6
        )
        lost = (~right[clean]).double().mean().item()
        assert result["top1_error"] == pytest.approx(lost)
        assert result["top1_error_all"] == pytest.approx(1 - right.double().mean().item())
        assert result["top5_error"] is None  # five classes
        assert result["forwards"] == result["backwards"] == 60
        records = report.records.filter(pl.col("eps") == eps).sort("index")
        delta = (adv - images.float() / 255).double().flatten(1)
        assert np.allclose(records["linf"], delta.abs().amax(1), atol=1e-6)
        assert np.allclose(records["l2"], delta.norm(dim=1), atol=1e-5)
        assert np.allclose(records["l1"], delta.abs().sum(1), atol=1e-4)
        assert records["safe"].to_list() == right.tolist()
    model.zero_grad()


def test_top5_error_in_the_sources_sense() -> None:
    torch.manual_seed(1)
    model = fit(nn.Sequential(nn.Flatten(), nn.Linear(36, 12))).eval()
    images, labels = sample_images(80)
    report = audit(model, (images, labels), attacks=["fgsm"], eps=[0.3], full_budget=True)
    adv = by_hand(model, images, labels, 0.3)

    def in_five(x: Tensor) -> Tensor:
        report: Tensor = (model(x).topk(5).indices == labels[:, None]).any(1)
        return report

    was, still = in_five(images.float() / 255), in_five(adv)
    (result,) = report.summary["results"]
    assert result["top5_error"] == pytest.approx((~still[was]).double().mean().item())
    assert result["top5_error_all"] == pytest.approx((~still).double().mean().item())


def test_worst_case_is_per_image_and_counts_smaller_balls(whole: Audit) -> None:
    for row in whole.summary["worst_case"]:
        inside = whole.records.filter(pl.col("eps") <= row["eps"])
        robust = inside.group_by("index").agg(
            r=pl.col("safe").all() & (pl.col("clean_prediction") == pl.col("label")).all()
        )
        assert row["robust_accuracy"] == robust["r"].mean()
        assert row["parts"] == ["fgsm", "pgd"]
    assert whole.headline is not None
    assert whole.headline.startswith("Robust accuracy is at most ")
    assert "a stronger attack can only lower it" in whole.headline


def test_per_class_and_confusion_add_up(whole: Audit) -> None:
    result = whole.summary["results"][0]
    rows = [r for r in whole.summary["per_class"] if r["variant"] == "fgsm" and r["eps"] == 0.1]
    assert len(rows) == CLASSES
    total = sum(r["robust_accuracy"] * r["n"] for r in rows)
    assert total / 60 == pytest.approx(result["robust_accuracy"])
    cells = whole.summary["confusion"]["attacked"][0]["cells"]
    assert sum(count for *_, count in cells) == 60
    right = sum(count for label, prediction, count in cells if label == prediction)
    assert right / 60 == pytest.approx(result["robust_accuracy"])
    for row in rows:
        clean, robust = row["clean_accuracy"], row["robust_accuracy"]
        assert row["relative_difference"] == pytest.approx((clean - robust) / clean)


def test_records_have_the_schema_and_one_row_per_image_attack_and_eps(whole: Audit) -> None:
    assert whole.path is not None
    assert whole.records.schema == SCHEMA
    assert len(whole.records) == 60 * 2 * 2
    assert whole.records.select("index", "variant", "eps").is_duplicated().sum() == 0
    on_disk = json.loads((whole.path / "summary.json").read_text())
    assert on_disk == json.loads(json.dumps(whole.summary))
    for key in ("attack", "norm", "eps", "steps", "restarts", "n", "clean_accuracy", "confidence"):
        assert all(key in result for result in on_disk["results"])


def test_the_model_is_left_as_it_was(model: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    audit(model, data, **ASKED)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_a_plain_function_is_a_model(
    model: nn.Module, data: tuple[Tensor, Tensor], whole: Audit
) -> None:
    results = audit(lambda x: model(x), data, **ASKED).summary["results"]
    for result, expected in zip(results, whole.summary["results"], strict=True):
        assert result == expected | {"seconds": result["seconds"]}


def test_rejecting_model(model: nn.Module, data: tuple[Tensor, Tensor], whole: Audit) -> None:
    from epsball.types import ModelInfo

    class Rejecting(nn.Module):
        info = ModelInfo(CLASSES, rejects=True)

        def forward(self, inputs: Tensor) -> Tensor:
            scores = model(inputs)
            return torch.cat([scores, torch.full_like(scores[:, :1], 4.0)], 1)

    report = audit(Rejecting().eval(), data, **ASKED)
    rejected = report.records["rejected"]
    assert rejected.any()
    assert report.records.filter(rejected)["safe"].all()
    assert report.records.filter(rejected)["prediction"].unique().to_list() == [CLASSES]
    for ours, theirs in zip(report.summary["results"], whole.summary["results"], strict=True):
        assert ours["robust_accuracy"] >= theirs["robust_accuracy"]
    clean_rejected = report.records["clean_rejected"]
    assert not (
        report.records.filter(clean_rejected)["clean_prediction"]
        == report.records.filter(clean_rejected)["label"]
    ).any()


# resume

SCRIPT = """
import sys, time, torch
import epsball.evaluation.planning.sizing as sizing
from torch import nn
from epsball import audit
from tests.evaluation.conftest import sample_images
sizing._SECONDS_A_SHARD = 1e-9  # a shard a batch
torch.manual_seed(0)
inner = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), nn.Linear(16, 5)).eval()
class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = inner
    def forward(self, x):
        time.sleep(float(sys.argv[2]))
        return self.inner(x)
audit(Slow().eval(), sample_images(48), attacks=["fgsm", "pgd"], eps=[0.1, 0.2], steps=3,
      precision="float32", micro_batch=16, out=sys.argv[1])
"""


def run_script(out: Path, pause: float) -> "subprocess.Popen[bytes]":
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(out), str(pause)], env=environment, cwd=root
    )


@pytest.mark.slow
def test_killed_and_continued_is_as_if_undisturbed(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    undisturbed = run_script(whole, 0)  # while the other one is killed
    victim = run_script(broken, 0.02)
    started = time.monotonic()
    while len(list((broken / "records").glob("*.parquet"))) < 2:
        assert victim.poll() is None, "it ended before it could be killed"
        assert time.monotonic() - started < 100
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    done = {f.name: f.stat().st_mtime_ns for f in (broken / "records").glob("*.parquet")}
    assert len(done) < 6
    assert not (broken / "summary.json").exists()
    assert run_script(broken, 0).wait(120) == 0
    assert undisturbed.wait(120) == 0
    for name, when in done.items():  # what was done is not done again
        assert (broken / "records" / name).stat().st_mtime_ns == when
    records = read_records(whole)
    assert len(list((whole / "records").glob("*.parquet"))) == 6
    assert read_records(broken).equals(records)

    def hashes(run: Path) -> dict[str, str]:
        files = sorted((run / "records").glob("*.parquet"))
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}

    assert hashes(broken) == hashes(whole)
    one, two = (json.loads((run / "summary.json").read_text()) for run in (whole, broken))
    for summary in (one, two):
        del summary["cost"], summary["phases"], summary["foretold"]
        for result in summary["results"]:
            del result["seconds"]
    assert one == two
    assert not [f for f in broken.rglob("*") if f.name.endswith(".part") and f.stat().st_size == 0]


def test_the_same_run_twice_is_bitwise_equal_and_resumes_with_the_manifests_choices(
    model: nn.Module, data: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        audit(model, data, micro_batch=16, seed=3, out=tmp_path / name, **ASKED)
    assert read_records(tmp_path / "a").equals(read_records(tmp_path / "b"))
    audit(model, data, micro_batch=7, seed=3, out=tmp_path / "a", **ASKED)
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["engine"]["micro_batch"] == 16


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"seed": 1}, ["seed"]),
        ({"eps": [0.1]}, ["attacks"]),
        ({"limit": 30}, ["data.n", "data.sample", "data.sha256"]),
        ({"full_budget": False}, ["full_budget"]),
    ],
)
def test_another_run_in_the_directory(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    whole: Audit,
    changed: dict[str, Any],
    names: list[str],
) -> None:
    differing = ", ".join(rf"{re.escape(name)}( \(\S+ there, \S+ here\))?" for name in names)
    with pytest.raises(InvalidInput, match=f"it differs in {differing}; choose"):
        audit(model, data, out=whole.path, **ASKED | changed)


def test_a_run_of_another_version_is_refused_with_its_remedy(
    model: nn.Module, data: tuple[Tensor, Tensor], whole: Audit, tmp_path: Path
) -> None:
    assert whole.path is not None
    run = shutil.copytree(whole.path, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["versions"]["epsball"] = "0.1.0"
    del manifest["engine"]["channels_last"]  # which version 0.1 did not have
    (run / "manifest.json").write_text(json.dumps(manifest))
    before = {f: f.read_bytes() for f in run.rglob("*") if f.is_file()}
    with pytest.raises(InvalidInput, match=r"was begun by epsball 0\.1\.0, and this is .*--out"):
        audit(model, data, out=run, **ASKED)
    assert {f: f.read_bytes() for f in run.rglob("*") if f.is_file()} == before
    for file in (run / "records").glob("*"):  # nothing is attacked yet: it may begin again
        file.unlink()
    assert audit(model, data, out=run, **ASKED).summary["complete"]


def test_the_phases_add_up_to_the_call_and_count_every_pass(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.forwards = model, 0

        def forward(self, inputs: Tensor) -> Tensor:
            self.forwards += len(inputs)
            scores: Tensor = self.model(inputs)
            return scores

    counting = Counting().eval()
    started = time.perf_counter()
    options: dict[str, Any] = {"attacks": ["fgsm", "pgd"], "eps": [0.1, 0.2], "steps": 6}
    report = audit(counting, data, precision="float32", **options)
    took = time.perf_counter() - started
    phases = report.summary["phases"]
    named = ["reading", "planning", "checks", "attacks", "belief", "measuring", "report"]
    assert list(phases) == named
    assert sum(spent["seconds"] for spent in phases.values()) <= took
    counted = sum(spent["forwards"] for spent in phases.values())
    assert counted <= counting.forwards <= counted + 20  # the probing of the model, on two images
    cost = report.summary["cost"]
    for key in ("seconds", "forwards", "backwards"):  # clean and attacked images are scored, too
        assert phases["attacks"][key] >= cost[key] > 0
    assert phases["attacks"]["backwards"] == cost["backwards"]


def test_nothing_is_measured_where_sizes_are_given_or_the_run_is_short(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    options: dict[str, Any] = {"attacks": ["fgsm"], "eps": [0.1], "micro_batch": 16}
    for precision in ("float32", "float32-copy"):
        phases = audit(model, data, precision=precision, **options).summary["phases"]
        assert phases["measuring"]["forwards"] == 0
    for attack, worth in (("fgsm", False), ("bim:steps=100", True)):
        phases = audit(model, data, attacks=[attack], eps=[0.1]).summary["phases"]
        measured = phases["measuring"]
        assert measured["forwards"] == measured["backwards"]
        assert (measured["forwards"] > 0) == worth


def test_checks_cost_a_share_of_a_long_attack(data: tuple[Tensor, Tensor]) -> None:
    class Deaf(nn.Module):
        """Fooled by no image, with a gradient all the same."""

        def forward(self, inputs: Tensor) -> Tensor:
            scores = nn.functional.one_hot((inputs.flatten(1) * 0).sum(1).long(), 5).float()
            return 100 * scores + 0.1 * inputs.flatten(1)[:, :5]

    images, _ = sample_images(400)
    labels = torch.zeros(400, dtype=torch.int64)
    report = audit(Deaf().eval(), (images, labels), attacks=["bim:steps=20"], eps=[0.1])
    phases = report.summary["phases"]
    assert report.summary["worst_case"][0]["robust_accuracy"] == 1
    assert phases["checks"]["backwards"] < 0.4 * phases["attacks"]["backwards"]


def test_queries_are_recorded_for_attacks_that_count_them(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    report = audit(model, data, attacks=["square", "fgsm"], eps=[0.1], queries=40)
    rows = report.records.partition_by("variant", as_dict=True)
    square, fgsm = rows[("square",)], rows[("fgsm",)]
    assert fgsm["queries"].is_null().all()
    assert 0 < square["queries"].max() <= 40  # type: ignore[operator]  # integers
    results = {result["variant"]: result["queries"] for result in report.summary["results"]}
    assert results == {"square": square["queries"].sum(), "fgsm": None}


def test_something_else_in_the_directory(
    model: nn.Module, data: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("hours of work")
    with pytest.raises(InvalidInput, match="holds something else: name a new or empty directory"):
        audit(model, data, out=tmp_path, **ASKED)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


# time budget


@pytest.mark.slow
def test_budget_takes_a_fair_sample_and_ends_in_time(model: nn.Module, tmp_path: Path) -> None:
    class Slow(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            time.sleep(0.002 * len(inputs))
            scores: Tensor = model(inputs)
            return scores

    said: list[str] = []

    class Hearing:
        def begin(self, stage: str, total: int) -> None: ...

        def advance(self, count: int, note: str = "") -> None: ...

        def say(self, text: str) -> None:
            said.append(text)

    images, labels = sample_images(2000)
    order = labels.argsort(stable=True)
    started = time.monotonic()
    report = audit(
        Slow().eval(),
        (images[order], labels[order]),
        attacks=["bim"],
        eps=[0.1],
        steps=5,
        budget=8,
        out=tmp_path / "run",
        progress=Hearing(),
    )
    took = time.monotonic() - started
    n = report.summary["results"][0]["n"]
    sys.stdout.write(f"{n} of 2000 images in {took:.1f} s of 8\n")
    assert took < 16  # a busy machine takes longer than it was given
    assert 10 < n < 2000
    counts = report.records["label"].value_counts()["count"]
    assert counts.max() - counts.min() <= 1  # type: ignore[operator]  # integers
    assert sum(text.startswith("so far: Robust accuracy is at most") for text in said) >= 1
    assert report.headline is not None


@pytest.mark.parametrize("budget", [0, -1.0])
def test_bad_budget(model: nn.Module, data: tuple[Tensor, Tensor], budget: float) -> None:
    with pytest.raises(InvalidInput, match="budget must be more than 0 seconds"):
        audit(model, data, budget=budget)


def test_one_eps_and_one_attack_need_no_list(model: nn.Module, data: tuple[Tensor, Tensor]) -> None:
    report = audit(model, data, attacks="fgsm", eps=0)
    assert [(r["attack"], r["eps"]) for r in report.summary["results"]] == [("fgsm", 0.0)]
    assert audit(model, data, attacks="fgsm", eps="8/255").records["eps"][0] == 8 / 255


def test_a_blocked_run_stands_in_nobodys_way(
    model: nn.Module, data: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    model.train()
    try:
        assert audit(model, data, out=tmp_path / "run", **ASKED).blocked
    finally:
        model.eval()
    assert not audit(model, data, out=tmp_path / "run", **ASKED).blocked


@pytest.mark.parametrize(
    "squeezing", [lambda z: z.squeeze(), lambda z: z / (z if len(z) > 1 else None)]
)
def test_a_model_that_fails_on_one_image_alone(
    model: nn.Module, data: tuple[Tensor, Tensor], squeezing: Any
) -> None:
    with pytest.raises(BrokenContract, match="the model (must return|raised)"):
        audit(lambda x: squeezing(model(x)), data, **ASKED)


# what is refused before anything is written


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"attacks": ["pgd:objective=margn"]}, "did you mean 'margin'"),
        ({"attacks": ["fgsm:reference=given"]}, "reference 'given' needs targets"),
        ({"attacks": ["pgd:step_size=0"]}, "step_size must be > 0"),
        ({"limit": 0}, "limit must be 1 or more"),
        ({"limit": -5, "budget": 9.0}, "limit must be 1 or more"),
        ({"micro_batch": 0}, "micro_batch must be 1 or more"),
        ({"precision": "int8"}, "precision must be auto, fast or float32"),
        ({"attacks": ["pgd:step_size=long"]}, "pgd: step_size must be a number, got 'long'"),
        ({"device": "abacus"}, "--device abacus cannot be used"),
        ({"weights": Path("w")}, "weights: only for a model named by a spec"),
    ],
)
def test_refused(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    tmp_path: Path,
    asked: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InvalidInput, match=message):
        audit(model, data, out=tmp_path / "run", **ASKED | asked)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("label", [CLASSES, 77])
def test_label_out_of_range(model: nn.Module, tmp_path: Path, label: int) -> None:
    images, labels = sample_images(20)
    labels[13] = label
    message = f"label {label} of image 13 is out of range: Sequential has 5 classes, 0 to 4"
    with pytest.raises(InvalidInput, match=message):
        audit(model, (images, labels), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_bad_tensors(model: nn.Module) -> None:
    images, labels = sample_images(20)
    with pytest.raises(InvalidInput, match=r"images \(n, c, h, w\) and labels \(n,\)"):
        audit(model, (images, labels[:5]))
    with pytest.raises(InvalidInput, match="labels must be integers, found float32"):
        audit(model, (images, labels.float()))
    nan = images.float() / 255
    nan[7, 0, 0, 0] = float("nan")
    with pytest.raises(InvalidInput, match="image 7 holds NaN"):
        audit(model, (nan, labels))


def test_white_box_attack_on_a_model_without_gradient(
    model: nn.Module, data: tuple[Tensor, Tensor]
) -> None:
    def blind(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            scores: Tensor = model(inputs)
        return scores

    with pytest.raises(InvalidInput, match="fgsm needs a gradient.*--attack square"):
        audit(blind, data, attacks=["noise", "fgsm"])
    assert audit(blind, data, attacks=["noise"], eps=[0.1]).headline is not None


def test_disk_full_is_one_line(
    model: nn.Module, data: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: pl.DataFrame, file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pl.DataFrame, "write_parquet", full)
        with pytest.raises(InvalidInput, match="No space left on device; free some space, then"):
            audit(model, data, out=tmp_path / "run", **ASKED)
    assert list((tmp_path / "run" / "records").glob("*.parquet*")) == []
    assert audit(model, data, out=tmp_path / "run", **ASKED).headline is not None
