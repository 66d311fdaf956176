"""The whole study on a linear model of scikit-learn's digits, and made-up rows."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import pytest

from epsball.errors import InvalidInput
from epsball.kinds.labelling import KINDS
from epsball.report import write_study, write_study_page
from epsball.studies import StudyResult, run_study
from epsball.studies.claims.table import load_claims
from epsball.studies.confidence_bands.bands import SOURCE
from epsball.studies.confidence_bands.claims import differences, judge, nearest_eps, reached_at
from epsball.studies.confidence_bands.measure import Bands, Setting, read

Finished: TypeAlias = tuple[StudyResult, dict[str, Any]]
MODEL = """
import torch
from torch import nn

class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        means = torch.randn(10, 784, generator=torch.Generator().manual_seed(0))
        self.layer = nn.Linear(784, 10)
        with torch.no_grad():
            self.layer.weight.copy_(means / 20)
            self.layer.bias.zero_()

    def forward(self, images):
        return self.layer(images.flatten(1))

def build():
    return Linear().eval()
"""
GRID = "bands=quantiles:3;precision=float32;eps=0.1,0.3"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("bands")
    (folder / "model.py").write_text(MODEL)
    grid = f"model={folder}/model.py:build;{GRID}"
    given: dict[str, Any] = {"data": "digits", "limit": 60, "searched": 20, "grid": grid}
    return run_study("confidence-bands", folder / "out", **given), given


def test_every_claim_has_a_verdict(finished: Finished) -> None:
    result, _ = finished
    assert len(result.claims) == 30
    orderings = [c for c in result.claims if c["kind"] == "ordering"]
    assert all(c["note"] for c in orderings)
    assert {c["verdict"] for c in result.claims if c["kind"] == "value"} <= {"undecided", "not run"}


def test_the_pages_are_written(finished: Finished) -> None:
    result, _ = finished
    page = write_study(result.out).read_text()
    assert "Kinds of adversarial image" in page
    assert page.count("data:image") >= 4
    assert "logistic fit" in write_study_page(result.out).read_text()
    # pairs stand side by side: fewer containers than pairs
    assert 0 < page.count('class="strips"') < page.count('class="strip"')


def test_other_bands_need_no_new_cells(finished: Finished) -> None:
    result, given = finished
    before = {file: file.stat().st_mtime_ns for file in (result.out / "rows").iterdir()}
    grid = given["grid"].replace("quantiles:3", "quantiles:2")
    again = run_study("confidence-bands", result.out, **(given | {"grid": grid}))
    assert {file: file.stat().st_mtime_ns for file in (result.out / "rows").iterdir()} == before
    assert json.dumps(again.summary["story"]) != json.dumps(result.summary["story"])


def test_a_step_of_fgsm_moves_a_linear_model_as_far_as_iterations(finished: Finished) -> None:
    """The gradient of a linear model's logit is the same everywhere, clipping aside."""
    result, _ = finished
    rows = pl.read_parquet(result.out / "rows.parquet").filter(pl.col("scale") == "logit")
    pairs = rows.filter(pl.col("radius") == 0.1).pivot(
        "method", index=["index", "reference"], values="label_probability"
    )
    assert len(pairs) == 60
    assert np.allclose(pairs["fast"], pairs["iterative"], atol=1e-5)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("k=11", "k must be from 1 to the number of classes, 10, got 11"),
        ("bands=0.3/0.15", "must not overlap"),
        ("bands=0.1/0.2,0.3/0.4", "give one bands, got 2"),
        ("reference=least", "unknown reference of the grid 'least': did you mean"),
        ("eps=0", "eps must be above 0"),
        ("hierarchy=wordnet", "1000 classes of ImageNet, got 10"),
        ("hierarchy=none.tsv", "must be a UTF-8 text file"),
        ("model=zoo:mlp", "zoo:mlp has no published weights"),
        ("precision=half", "precision must be one of"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, grid: str, message: str
) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    whole = f"model={tmp_path}/model.py:build;{grid}" if "model" not in grid else grid
    with pytest.raises(InvalidInput, match=message):
        run_study("confidence-bands", tmp_path / "out", data="digits", limit=20, grid=whole)
    assert not (tmp_path / "out").exists()


def made_up(*, vulnerable: bool) -> tuple[Bands, pl.DataFrame]:
    """Rows whose error is the table's of the source, or its opposite; 400 images a band."""
    table = {
        tuple(c.setting[n] for n in ("method", "band", "steps", "k")): float(c.value or 0)
        for c in load_claims("confidence-bands")
        if "band" in c.setting
    }
    bands = {"high": 0.9, "medium": 0.2, "low": 0.1}
    clean, attacked = [], []
    for number, (band, sure) in enumerate(bands.items()):
        for one in range(400):
            index = 400 * number + one
            top = {f"top{r}": r - 1 for r in range(1, 6)}
            shared = {"index": index, "label": 0, "images": None}
            reading = {"prediction": 0, "confidence": sure, "label_rank": 1}
            clean.append({"kind": "clean", "label_probability": sure} | shared | reading | top)
            for method, reference in (("least-likely", "least_likely"), ("inverse", "predicted")):
                for steps in ("fast", "iterative"):
                    top1, top5 = (table[method, band, steps, k] for k in (1, 5))
                    if not vulnerable:
                        top1, top5 = 1 - top1, 1 - top1
                    rank = 7 if one < 400 * top5 else 2 if one < 400 * top1 else 1
                    attacked.append(
                        shared
                        | {"kind": "attack", "method": steps, "reference": reference}
                        | {"scale": "log-softmax", "steps": 1 if steps == "fast" else 10}
                        | {"radius": 0.01, "prediction": int(rank > 1), "confidence": 0.5}
                        | {"label_rank": rank, "label_probability": 0.1}
                    )
    rows = pl.DataFrame([*clean, *attacked], infer_schema_length=None)
    names = [str(i) for i in range(10)]
    return read(rows, names, bands=SOURCE, per_band=0, k=5, hierarchy="confusion")[0], rows


def test_the_table_of_the_source_is_a_match_and_its_orderings_hold() -> None:
    judged, rows = made_up(vulnerable=True)
    eps = nearest_eps(judged)
    assert eps == {"fast": 0.01, "iterative": 0.01}
    verdicts = {v.id: v for v in judge(judged, rows, eps, ())}
    words = {name: v.verdict for name, v in verdicts.items() if "black" not in name}
    orderings = [c.id for c in load_claims("confidence-bands") if c.kind == "ordering"]
    assert {words.pop(name) for name in orderings} == {"holds"}
    assert set(words.values()) == {"match"}
    assert verdicts["bands.inverse-over-least-likely"].note.startswith("11 of 12")


def test_the_opposite_of_the_source_is_refuted() -> None:
    judged, rows = made_up(vulnerable=False)
    verdicts = {v.id: v.verdict for v in judge(judged, rows, nearest_eps(judged), ())}
    assert verdicts["bands.low-most-vulnerable"] == "refuted"
    assert verdicts["bands.iterative-over-fast"] == "refuted"
    assert verdicts["bands.inverse.high.fast.top1"] == "differs"


def test_another_model_decides_no_number() -> None:
    judged, rows = made_up(vulnerable=True)
    differs = differences("zoo:squeezenet", "imagenet-sample", 1000, SOURCE)
    verdicts = {v.id: v for v in judge(judged, rows, nearest_eps(judged), differs)}
    assert verdicts["bands.inverse.high.fast.top1"].verdict == "undecided"
    assert verdicts["bands.low-most-vulnerable"].verdict == "holds"
    assert not verdicts["bands.low-most-vulnerable"].same_setting
    assert "of 16 at 2.55/255" in verdicts["bands.low-most-vulnerable"].note
    assert differences("timm:inception_v3", "folder", 1500, SOURCE, per_band=500) == ()


def test_both_readings_of_the_error() -> None:
    verdicts, _ = made_up(vulnerable=True)
    setting = Setting("fast", "predicted", 0.01)
    source, whole_band = (verdicts.error(setting, None, 1, all_images=e) for e in (False, True))
    assert source is not None
    assert whole_band is not None
    assert source.value == whole_band.value  # all images are right when clean
    assert set(verdicts.attacked["kind"]) <= set(KINDS)
    claim = load_claims("confidence-bands")[0]
    assert "eps" in reached_at(claim, verdicts)
