"""The fixture `assert_robust`, as a user's test meets it."""

import pytest
import torch
from torch import Tensor, nn

from epsball.report.ci import pytest_plugin
from epsball.report.ci.pytest_plugin import AssertRobust

robust = pytest_plugin.assert_robust  # pytest finds it here whether or not it is installed
FLAT = nn.Flatten().eval()
IMAGES = torch.eye(4).view(4, 1, 2, 2) * 0.5  # each is right by a margin of 0.5
DATA: tuple[Tensor, Tensor] = (IMAGES, torch.arange(4))


def test_a_robust_model_passes_and_the_audit_comes_back(robust: AssertRobust) -> None:
    report = robust(FLAT, DATA, eps=0.2, at_least="100%", steps=5)
    assert report.summary["worst_case"][0]["robust_accuracy"] == 1


def test_a_fooled_model_fails_with_the_numbers(robust: AssertRobust) -> None:
    with pytest.raises(
        pytest.fail.Exception, match=r"missed: robust accuracy within 0\.3 .* 0\.0 %"
    ):
        robust(FLAT, DATA, eps=0.3, at_least=0.5, steps=5)


def test_the_lower_bound_of_four_images_is_low(robust: AssertRobust) -> None:
    with pytest.raises(pytest.fail.Exception, match="lower bound of robust accuracy"):
        robust(FLAT, DATA, eps=0.2, at_least=0.9, judge="lower", steps=5)


def test_a_blocking_finding_fails(robust: AssertRobust) -> None:
    trained = nn.Sequential(nn.Flatten(), nn.Dropout(0.5)).train()
    with pytest.raises(pytest.fail.Exception, match="no rate can be given: train-mode"):
        robust(trained, DATA, eps=0.1, at_least=0.5)
