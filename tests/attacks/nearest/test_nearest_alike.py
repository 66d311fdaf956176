"""What holds alike for the attacks that look for the nearest image in one norm."""

from collections.abc import Callable
from functools import partial

import pytest
from tests.attacks import sparsest
from torch import Tensor

from epsball.attacks import cw, ddn, ead, sigma_zero

ATTACKS = {
    "cw": partial(cw, searches=4, steps=30),
    "ddn": partial(ddn, steps=40),
    "ead": partial(ead, searches=5, steps=40),
    "sigma-zero": partial(sigma_zero, steps=60),
}
CHECKS = [
    sparsest.check_reaches_targets,
    sparsest.check_a_thousand_classes,
    sparsest.check_rejected_is_no_success,
    sparsest.check_wrong_ones_cost_one_pass,
    sparsest.check_clean_where_nothing_is_found,
    sparsest.check_pure,
    sparsest.check_rows_alone,
]


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_alike(
    check: Callable[[Callable[..., Tensor]], None], attack: Callable[..., Tensor]
) -> None:
    check(attack)
