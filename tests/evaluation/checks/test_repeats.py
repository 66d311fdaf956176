"""A repetition of an attack that differs from the records: how much of it is too much."""

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import torch

from epsball.evaluation.checks.repeats import check_recorded

COUNT = 16


@pytest.mark.parametrize(
    ("differing", "severity"),
    [(0, None), (1, None), (2, "warning"), (3, "warning"), (4, "blocking")],
)
def test_few_verdicts_that_differ_warn_and_many_block(differing: int, severity: str | None) -> None:
    safe = torch.zeros(COUNT, dtype=torch.bool)
    engine: Any = SimpleNamespace(config=SimpleNamespace(full_budget=True))
    attacked: Any = SimpleNamespace(
        setting=SimpleNamespace(variant="apgd", eps=(0.3,)),
        probe=SimpleNamespace(examples=SimpleNamespace(positions=torch.arange(COUNT))),
        safe=safe,
    )
    records = pl.DataFrame({
        "index": range(COUNT), "variant": "apgd", "eps": 0.3,
        "safe": [place < differing for place in range(COUNT)],
    })  # fmt: skip
    findings = check_recorded(engine, attacked, records)
    assert [one.severity for one in findings] == ([severity] if severity else [])
