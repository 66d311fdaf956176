"""Every adapter runs, where its library is installed, and keeps to what is asked."""

import pytest
from benchmarks.peers.cells import job_of
from benchmarks.peers.judging import judge
from benchmarks.peers.methods import METHODS
from benchmarks.peers.registry import ENTRANTS, attacks_of, why_not
from benchmarks.peers.subjects import Subject
from benchmarks.peers.timing import timed
from tests.peers.conftest import setup_of

# the reference code is on no registry, and an ensemble takes too long for a test
PEERS = [
    (name, method)
    for name in ENTRANTS
    if not ENTRANTS[name].ours and name != "autoattack"
    for method in attacks_of(name)
    if method != "strongest"
]


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize(("name", "method"), PEERS)
def test_it_returns_images_within_the_ball(name: str, method: str, subject: Subject) -> None:
    reason = why_not(name, method, subject.classes)
    if reason:
        pytest.skip(reason)
    steps = max(METHODS[method].light, 3)
    job = job_of(setup_of(method, images=4, steps=steps), subject, batch=3)
    result, seconds = timed(attacks_of(name)[method], job)
    assert result.shape == job.images.shape
    assert seconds > 0
    assert not job.model.training
    verdicts = judge(job.model, job.images, result, job.labels, norm=job.norm, eps=job.eps)
    assert verdicts.outside_ball + verdicts.broken == 0


def test_every_method_has_a_peer() -> None:
    assert set(METHODS) - {"floor"} == {method for _, method in PEERS} | {"strongest"}


def test_every_entry_is_of_a_known_method() -> None:
    assert {method for name in ENTRANTS for method in attacks_of(name)} == set(METHODS)
