import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from epsball import audit
from epsball.answers import check_answer, scores_like
from epsball.attacks import pgd
from epsball.errors import BrokenContract

IMAGES = torch.rand(60, 1, 4, 4, generator=torch.Generator().manual_seed(0))
BRIGHT = IMAGES.mean((1, 2, 3))
LABELS = (BRIGHT > 0.5).long()


def margin(inputs: Tensor) -> Tensor:
    return 60 * (inputs.mean((1, 2, 3)) - 0.5)


ONE_OUTPUT: dict[str, Callable[[Tensor], Tensor]] = {
    "logit": lambda x: margin(x)[:, None],
    "flat logit": margin,
    "sigmoid": lambda x: margin(x).sigmoid()[:, None],
    "flat sigmoid": lambda x: margin(x).sigmoid(),
    "four dimensions": lambda x: margin(x).sigmoid()[:, None, None, None],
}


@pytest.mark.parametrize("name", ONE_OUTPUT)
def test_the_remedy_for_one_output_gives_the_right_accuracy(name: str) -> None:
    model = ONE_OUTPUT[name]
    with pytest.raises(BrokenContract) as caught:
        audit(model, (IMAGES, LABELS), attacks=["fgsm"], eps=[0.01])
    advice = re.search(r"return (torch\.cat\(.*\))$", str(caught.value))
    assert advice is not None

    def advised(inputs: Tensor) -> Tensor:
        output = model(inputs)
        scores: Tensor = eval(advice[1], {"torch": torch, "z": output, "p": output})
        return scores

    report = audit(advised, (IMAGES, LABELS), attacks=["fgsm"], eps=[0.01])
    assert report.summary["clean"]["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("wrap", "remedy"),
    [
        (lambda z: SimpleNamespace(logits=z), "output.logits"),
        (lambda z: {"logits": z}, "--output logits"),
        (lambda z: (z, None), "--output 0"),
    ],
)
def test_an_attack_gives_the_same_advice_as_an_audit(
    wrap: Callable[[Tensor], Any], remedy: str
) -> None:
    def model(inputs: Tensor) -> Any:
        return wrap(inputs.flatten(1)[:, :3])

    with pytest.raises(BrokenContract, match=re.escape(remedy)):
        pgd(model, IMAGES[:3], LABELS[:3], eps=0.1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_scores_come_in_the_type_of_the_images(dtype: torch.dtype) -> None:
    scores = torch.rand(4, 3).to(dtype)
    assert scores_like(scores, IMAGES[:4]).dtype == torch.float32
    assert check_answer(scores, 4) is scores


def test_scores_in_another_layout_are_refused_with_a_remedy_that_works() -> None:
    scores = torch.stack([-margin(IMAGES), margin(IMAGES)], 1)
    with pytest.raises(BrokenContract, match=r"return it \.to_dense\(\)$"):
        check_answer(scores.to_sparse(), len(IMAGES))
    assert check_answer(scores.to_sparse().to_dense(), len(IMAGES)).equal(scores)
