"""Forgotten preprocessing and gradients of another function: told, with a remedy that works."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tests.evaluation.conftest import CLASSES, fit, sample_images
from torch import Tensor, nn

from epsball import audit
from epsball.evaluation.checks.scaling import check_scaling
from epsball.evaluation.checks.usual_scalings import COLOUR, GREY, Scaling
from epsball.evaluation.result import Audit
from epsball.models import Pipeline, Preprocess


def _codes(audited: Audit) -> set[str]:
    return {finding.code for finding in audited.findings}


class _Near(nn.Module):
    """Names the class whose pattern, in its own scaling, is nearest: right in no other scaling."""

    def __init__(self, patterns: Tensor) -> None:
        super().__init__()
        self.patterns = nn.Parameter(patterns.flatten(1))

    def forward(self, inputs: Tensor) -> Tensor:
        flat = inputs.flatten(1)
        return 2 * flat @ self.patterns.T - (self.patterns**2).sum(1)


def _problem(scaling: Scaling, channels: int, seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    """Eight patterns in the directions and at the distances that make a wrong scaling fail."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.rand((8, channels, 6, 6), generator=generator)
    patterns *= torch.linspace(0.2, 1, 8)[:, None, None, None]
    labels = torch.arange(64) % 8
    images = (
        patterns[labels] + 0.02 * torch.rand((64, channels, 6, 6), generator=generator)
    ) / 1.02
    return _Near(scaling(patterns)).eval(), images, labels


@given(st.sampled_from([s for s in (*COLOUR, *GREY) if s.name != "BGR"]), st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_a_forgotten_scaling_is_named_and_no_right_one_is_doubted(
    scaling: Scaling, seed: int
) -> None:
    channels = 3 if scaling in COLOUR else 1
    model, images, labels = _problem(scaling, channels, seed)

    def scores(points: Tensor) -> Tensor:
        with torch.no_grad():
            return model(points)  # type: ignore[no-any-return]  # a module's call is untyped

    pipeline = Pipeline(Preprocess(mean=scaling.mean, std=scaling.std), model)
    right = check_scaling(lambda x: scores(scaling(x)), images, labels, 8, named=True)
    assert right == []
    before = int((scores(images).argmax(1) == labels).sum())
    if before > 32:
        return  # this scaling happens not to matter
    (findings,) = check_scaling(scores, images, labels, 8, named=True)
    assert findings.severity == "blocking"
    assert findings.evidence["otherwise"] > findings.evidence["accuracy"]
    assert pipeline.preprocess is not None


def test_the_options_that_are_named_give_the_accuracy_that_is_promised(tmp_path: Path) -> None:
    scaling = GREY[0]
    module, images, labels = _problem(scaling, 1, 0)
    save_file(module.state_dict(), tmp_path / "own.safetensors")
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Near(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.patterns = nn.Parameter(torch.zeros(8, 36))\n"
        "    def forward(self, x):\n"
        "        return 2 * x.flatten(1) @ self.patterns.T - (self.patterns**2).sum(1)\n"
        "def build():\n"
        "    return Near().eval()\n"
    )

    def run(**loading: Any) -> Audit:
        return audit(
            f"{tmp_path}/net.py:build",
            (images, labels),
            attacks=["noise"],
            eps=["1/255"],
            weights=tmp_path / "own.safetensors",
            **loading,
        )

    forgotten = run()
    (result,) = [finding for finding in forgotten.findings if finding.code == "other-scaling"]
    assert forgotten.headline is None
    given_options = dict(re.findall(r"--(mean|std) ([\d.,]+)", result.message))
    loading = {key: tuple(map(float, text.split(","))) for key, text in given_options.items()}
    mended = run(**loading)
    assert "other-scaling" not in _codes(mended)
    promised = float(re.findall(r"would be (\d+)%", result.message)[0])
    assert mended.summary["clean"]["accuracy"] == pytest.approx(promised / 100, abs=0.01)
    wrong = run(mean=(0.1307,), std=(0.05,))
    assert "other-scaling" in _codes(wrong)


class _Branches(nn.Module):
    """Two branches, of which one may be cut out of the gradient."""

    def __init__(self, inner: nn.Module, *, cut: bool) -> None:
        super().__init__()
        self.inner, self.cut = inner, cut
        self.skip = nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES))

    def forward(self, inputs: Tensor) -> Tensor:
        deep: Tensor = self.inner(inputs)
        shallow: Tensor = 0.1 * self.skip(inputs)
        return shallow + (deep.detach() if self.cut else deep)


@pytest.mark.parametrize("cut", [False, True])
def test_a_branch_behind_detach_is_a_foreign_gradient(model: nn.Module, cut: bool) -> None:
    torch.manual_seed(0)
    branches = _Branches(model, cut=cut).eval()
    audited = audit(branches, sample_images(60), attacks=["pgd:steps=5"], eps=[0.05])
    assert ("foreign-gradient" in _codes(audited)) == cut


def test_honest_networks_keep_their_gradient() -> None:
    for seed in range(4):
        torch.manual_seed(seed)
        net = fit(
            nn.Sequential(
                nn.Conv2d(1, 6, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(6, 8, 3, padding=1),
                nn.GELU(),
                nn.Flatten(),
                nn.Linear(72, CLASSES),
            ),
            seed,
        )
        audited = audit(net, sample_images(60, seed), attacks=["pgd:steps=5"], eps=[0.05])
        assert not {"foreign-gradient", "other-scaling"} & _codes(audited)


@pytest.mark.parametrize("cut", [False, True])
def test_pooling_over_a_flat_background_is_no_foreign_gradient(cut: bool) -> None:
    # all values under a pooling window are equal there: differences see the largest of them, the
    # gradient one of them
    torch.manual_seed(0)
    pooled = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    pooled += [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    net = _Cut(nn.Sequential(*pooled, nn.Linear(16 * 49, CLASSES)), cut=cut).eval()
    images = torch.zeros(30, 1, 28, 28)
    images[:, :, 12:16, 12:16] = torch.rand(30, 1, 4, 4)
    labels = net(images).argmax(1)
    audited = audit(net, (images, labels), attacks=["pgd:steps=5"], eps=[0.05])
    assert ("foreign-gradient" in _codes(audited)) == cut


class _Cut(nn.Module):
    """A network whose gradient is a tenth of what it should be."""

    def __init__(self, inner: nn.Module, *, cut: bool) -> None:
        super().__init__()
        self.inner, self.cut = inner, cut

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.inner(inputs)
        return (scores + 9 * scores.detach()) / 10 if self.cut else scores
