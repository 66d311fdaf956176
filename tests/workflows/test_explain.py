from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from epsball.errors import InvalidInput
from epsball.evaluation.audit import audit
from epsball.report import write_report
from epsball.workflows.explain import explain


class Net(nn.Sequential):
    """A small network that convolves."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(
            nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 13 * 13, 10)
        )


@pytest.fixture(scope="module", params=[True, False], ids=["full budget", "verdicts"])
def run(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    out = tmp_path_factory.mktemp("explain") / "run"
    audit(
        Net().eval(), "digits", attacks=["fgsm"], eps=[0.3], limit=60, micro_batch=30,
        precision="float32", full_budget=request.param, out=out,
    )  # fmt: skip
    return out


def test_the_report_shows_clean_and_attacked_maps(run: Path) -> None:
    assert "What the model looks at" not in write_report(run).read_text()
    file = explain(run, Net().eval())
    with np.load(file) as kept:
        assert kept["map_gradient"].shape == kept["clean_map_grad-cam"].shape
        assert kept["clean_map_integrated"].max() <= 1
        assert len(kept["positions"]) <= 5
        changed = kept["images"] != kept["clean_images"]
        assert changed.reshape(len(changed), -1).any(1).all()
        assert kept["features"].shape == kept["clean_features"].shape
        assert kept["unit_images"].shape == (4, 1, 28, 28)
        rises = kept["unit_attacked"] - kept["unit_clean"]
        assert (np.diff(rises) <= 0).all()
    page = write_report(run).read_text()
    assert "What the model looks at" in page
    assert "integrated gradients" in page
    assert "What the attack switches on" in page
    _, _, section = page.partition('<section id="saliency">')
    assert "what was changed, magnified" not in section.partition("</section>")[0]


def test_another_model_than_the_audited_one_is_refused(run: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    other = Net().eval()
    with torch.no_grad():
        for weight in other[-1].parameters():
            weight.mul_(-1)
    with pytest.raises(InvalidInput, match="is not the model that .* recorded"):
        explain(run, other)
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*")} == before


def test_a_run_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="kept no images"):
        explain(tmp_path, Net().eval())
