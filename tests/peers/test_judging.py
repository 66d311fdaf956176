"""The judge: closed-form verdicts on a linear model of two pixels."""

import math

import torch
from benchmarks.peers.judging import judge
from torch import Tensor, nn


class Brighter(nn.Module):
    """Class 1 where the second pixel is the brighter one."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)


def images(*rows: tuple[float, float]) -> Tensor:
    return torch.tensor(rows).view(-1, 1, 1, 2)


CLEAN = images((0.6, 0.4), (0.6, 0.4), (0.6, 0.4), (0.4, 0.6))
LABELS = torch.tensor([0, 0, 0, 0])  # the last is wrong before any attack


def test_robust_is_right_before_and_after() -> None:
    result = images((0.4, 0.6), (0.6, 0.4), (0.5, 0.45), (0.9, 0.1))
    verdicts = judge(Brighter(), CLEAN, result, LABELS, norm="linf", eps=0.2)
    assert verdicts.clean == 0.75
    assert verdicts.robust == 0.5, "the last is right now, but was not before"
    assert math.isclose(verdicts.found, 1 / 3)


def test_distance_is_of_what_was_right_before_and_infinite_where_nothing_is_found() -> None:
    result = images((0.4, 0.6), (0.4, 0.7), (0.6, 0.4), (0.0, 1.0))
    verdicts = judge(Brighter(), CLEAN, result, LABELS, norm="linf", eps=0.0)
    assert verdicts.distance is not None
    assert math.isclose(verdicts.distance, 0.3, rel_tol=1e-6), "the middle of 0.2, 0.3 and infinity"
    nothing = judge(Brighter(), CLEAN, CLEAN, LABELS, norm="linf", eps=0.0)
    assert nothing.distance == math.inf


def test_distance_of_an_even_number_is_the_mean_of_the_middle_ones() -> None:
    result = images((0.4, 0.6), (0.2, 0.8))
    verdicts = judge(Brighter(), CLEAN[:2], result, LABELS[:2], norm="linf", eps=0.0)
    assert verdicts.distance is not None
    assert math.isclose(verdicts.distance, 0.3, rel_tol=1e-6)


def test_violations_are_counted_one_a_image() -> None:
    result = images((0.4, 0.61), (-0.1, 0.5), (0.8 + 5e-7, 0.2), (0.5, math.nan))
    verdicts = judge(Brighter(), CLEAN, result, LABELS, norm="linf", eps=0.2)
    assert (verdicts.outside_ball, verdicts.outside_box, verdicts.broken) == (2, 1, 1)


def test_a_broken_image_fools_nobody() -> None:
    result = images((math.nan, math.nan), (0.6, 0.4), (0.6, 0.4), (0.4, 0.6))
    verdicts = judge(
        Brighter(), CLEAN, result, LABELS + torch.tensor([0, 0, 0, 1]), norm="l2", eps=1
    )
    assert verdicts.robust == 1


def test_no_ball_no_violation_of_it() -> None:
    result = images((0.0, 1.0)).expand(4, -1, -1, -1)
    assert judge(Brighter(), CLEAN, result, LABELS, norm="l2", eps=0.0).outside_ball == 0
