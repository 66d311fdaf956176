"""The pytest fixture `assert_robust`: a robustness requirement as a test. Loaded by pytest."""

from collections.abc import Callable
from typing import Any

import pytest

AssertRobust = Callable[..., Any]


@pytest.fixture
def assert_robust() -> AssertRobust:
    """Return a function that audits a model and fails the test below a bar.

    The function takes `model` and `data` as `epsball.audit` does, `at_least` (a share: 0.4, "40%"),
    `eps`, `judge` ("point" or "lower", the lower end of the 95 % interval), `gate` ("early" ends
    once the verdict is settled, "all" attacks all images) and any other argument of
    `epsball.audit`. It returns the audit. A blocking finding fails the test too.

    Example:
        def test_my_model(assert_robust):
            assert_robust("my_model.py:build", "npz:test.npz", eps="8/255", at_least=0.4)
    """

    def check(
        model: Any,  # noqa: ANN401 - whatever epsball.audit takes
        data: Any,  # noqa: ANN401 - likewise
        *,
        at_least: float | str,
        eps: Any,  # noqa: ANN401 - likewise
        judge: str = "point",
        gate: str = "early",
        **options: Any,  # noqa: ANN401 - other arguments of epsball.audit
    ) -> Any:  # noqa: ANN401 - the audit; naming it would import torch with every pytest
        from epsball import audit
        from epsball.errors import InvalidInput
        from epsball.evaluation.metrics.gate import Gate, Judge, judge_gate, read_share

        bar = read_share(str(at_least), "at_least")
        if judge not in ("point", "lower"):
            raise InvalidInput(f"judge must be point or lower, got {judge!r}")
        if gate not in ("early", "all"):
            raise InvalidInput(f"gate must be early or all, got {gate!r}")
        kind: Judge = "lower" if judge == "lower" else "point"
        bounded = Gate(bar, kind, "all" if gate == "all" else "early")
        report = audit(model, data, eps=eps, gate=bounded, **options)
        if report.blocked:
            doubts = [f"{f.code}: {f.message}; {f.remedy}" for f in report.findings]
            pytest.fail("no rate can be given: " + "; ".join(doubts), pytrace=False)
        verdict = judge_gate(report.summary, bar, kind)
        if not verdict.passed:
            pytest.fail(f"{verdict.sentence}. {report.headline}", pytrace=False)
        return report

    return check
