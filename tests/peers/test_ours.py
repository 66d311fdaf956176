"""epsball's own entries reach the verdicts that the judge reaches."""

import pytest
import torch
from benchmarks.peers import ours
from benchmarks.peers.cells import job_of
from benchmarks.peers.judging import judge
from benchmarks.peers.methods import METHODS
from benchmarks.peers.registry import ENTRANTS, attacks_of
from benchmarks.peers.subjects import Subject
from tests.peers.conftest import setup_of

OURS = [
    (name, method)
    for name in ENTRANTS
    if ENTRANTS[name].home == "ours"
    for method in attacks_of(name)
]


@pytest.mark.parametrize(("name", "method"), OURS)
def test_every_entry_keeps_its_ball(name: str, method: str, subject: Subject) -> None:
    reason = ours.not_yet(method, ENTRANTS[name].table)
    if reason:
        pytest.skip(reason)
    setup = setup_of(method, images=4)
    job = job_of(setup, subject, batch=3)
    result = attacks_of(name)[method](job)
    again = attacks_of(name)[method](job)
    verdicts = judge(job.model, job.images, result, job.labels, norm=job.norm, eps=job.eps)
    assert verdicts.outside_ball + verdicts.outside_box + verdicts.broken == 0
    assert torch.equal(result, again), "same seed, same images"
    assert (job.eps == 0) == (METHODS[method].kind == "minimal")


def test_what_is_missing_is_said() -> None:
    assert ours.not_yet("nonsense-l2", "VERDICT") == "epsball has no attack nonsense yet"
    assert ours.not_yet("floor", "FULL_BUDGET") is None
