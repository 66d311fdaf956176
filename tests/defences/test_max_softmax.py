"""Log-odds of a softmax, without saturation and without a gradient of NaN."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from epsball.defences.rejectors.max_softmax import softmax_log_odds

NUMBERS = st.floats(-30, 30, width=32)


@given(rows=st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=5))
@settings(deadline=None, max_examples=60)
def test_log_odds_are_those_of_the_softmax(rows: list[list[float]]) -> None:
    logits = torch.tensor(rows, dtype=torch.float64).requires_grad_()
    result = softmax_log_odds(logits)
    others = torch.stack(
        [logits[:, [j for j in range(3) if j != i]].logsumexp(1) for i in range(3)], dim=1
    )
    assert torch.allclose(result, logits - others, atol=1e-9)
    (gradient,) = torch.autograd.grad(result.sum(), logits)
    assert bool(gradient.isfinite().all())


def test_sure_answers_stay_apart() -> None:
    sure = softmax_log_odds(torch.tensor([[100.0, 0.0, 0.0], [101.0, 0.0, 0.0]]))
    assert float(sure[1, 0] - sure[0, 0]) == 1.0


def test_gradients_where_two_classes_tie() -> None:
    logits = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(softmax_log_odds(logits).sum(), logits)
    assert bool(gradient.isfinite().all())
