"""The HTTP oracle before a server that fails: right labels, or one clear error."""

import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.oracles.faulty import bright, faulty
from torch import Tensor

from epsball.errors import BrokenContract, EpsballError, InvalidInput, QueryBudgetSpent
from epsball.oracles import HttpOracle, HttpSettings


def some(n: int) -> Tensor:
    return torch.randint(256, (n, 1, 3, 4), generator=torch.Generator().manual_seed(n)) / 255


def settings(url: str, **more: Any) -> HttpSettings:
    given = {"batch_size": 4, "concurrency": 1, "attempts": 4, "timeout": 5.0} | more
    return HttpSettings(url, classes=2, **given)


def test_labels_are_the_models_and_paid_once() -> None:
    images = some(10)
    with faulty([]) as (url, keys), HttpOracle(settings(url, concurrency=3)) as oracle:
        assert torch.equal(oracle(images), bright(images).argmax(1))
        assert (oracle.ledger.paid, oracle.ledger.cached) == (10, 0)
        assert len(keys) == 3
        twice = torch.cat((images[:3], images[:3]))
        assert torch.equal(oracle(twice), bright(twice).argmax(1))
        assert (oracle.ledger.paid, oracle.ledger.cached) == (10, 6)
        assert len(keys) == 3


def test_repeated_images_of_one_call_are_paid_once() -> None:
    images = some(1).expand(5, -1, -1, -1)
    with faulty([]) as (url, _), HttpOracle(settings(url)) as oracle:
        assert len(oracle(images)) == 5
        assert (oracle.ledger.paid, oracle.ledger.cached) == (1, 4)


@pytest.mark.parametrize("fault", ["408", "429", "500", "503", "cut", "half-closed"])
def test_what_passes_is_tried_again_under_the_same_key(fault: str) -> None:
    images = some(4)
    with faulty([fault, fault]) as (url, keys), HttpOracle(settings(url)) as oracle:
        assert torch.equal(oracle(images), bright(images).argmax(1))
        assert len(keys) == 3
        assert len(set(keys)) == 1
        assert oracle.ledger.paid == 4


def test_a_slow_answer_is_asked_for_again() -> None:
    images = some(4)
    with faulty(["slow"]) as (url, keys), HttpOracle(settings(url, timeout=0.2)) as oracle:
        assert torch.equal(oracle(images), bright(images).argmax(1))
        assert len(set(keys)) == 1 < len(keys)


def test_a_response_that_drips_is_given_up_in_time() -> None:
    images = some(4)
    with faulty(["drip"]) as (url, keys), HttpOracle(settings(url, timeout=0.3)) as oracle:
        begin = time.monotonic()
        assert torch.equal(oracle(images), bright(images).argmax(1))
        assert time.monotonic() - begin < 5
        assert len(set(keys)) == 1 < len(keys)


def test_a_response_without_end_is_refused() -> None:
    with (
        faulty(["endless"]) as (url, _),
        HttpOracle(settings(url)) as oracle,
        pytest.raises(BrokenContract, match="larger than 64 MiB: check the URL"),
    ):
        oracle(some(4))


def test_connections_that_the_server_closes_between_requests() -> None:
    images = some(20)
    plan = ["closed after"] * 3
    with faulty(plan) as (url, keys), HttpOracle(settings(url)) as oracle:
        assert torch.equal(oracle(images), bright(images).argmax(1))
        assert oracle.ledger.paid == 20
        assert len(set(keys)) == 5


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_faults_ends_with_the_right_labels(seed: int) -> None:
    chance, images = random.Random(seed), some(40)
    passing = ["429", "500", "503", "cut", "half-closed", "closed after", "ok", "ok"]
    plan = [chance.choice(passing) for _ in range(30)]
    with (
        faulty(plan) as (url, keys),
        HttpOracle(settings(url, attempts=20, concurrency=3)) as oracle,
    ):
        assert torch.equal(oracle(images), bright(images).argmax(1))
        assert oracle.ledger.paid == 40
        assert len(set(keys)) == 10 < len(keys)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("", "must be JSON, it begins with ''"),
        ('{"labels": [0, 1', "must be JSON"),
        ('{"labels": null}', "must hold 4 labels"),
        ('{"labels": [NaN, 1, 0, 1]}', "must be an integer or a name, got NaN"),
        ('{"labels": [-1, 1, 0, 1]}', r"label -1 is outside \[0, 2\)"),
        ('{"labels": [true, 1, 0, 1]}', "must be an integer or a name, got true"),
        ('{"labels": [[0.1, 0.9], 1, 0, 1]}', "must be an integer or a name"),
        ('{"labels": {"0": 1}}', "must hold 4 labels"),
        ("[0, 1, 0, 1]", "nothing at 'labels'"),
        ("<html>hello</html>", "must be JSON, it begins with '<html>hello"),
        ('{"scores": [1]}', "nothing at 'labels'"),
        ('{"labels": [0, 1]}', "must hold 4 labels"),
        ('{"labels": [0, 1, 2, 1]}', r"label 2 is outside \[0, 2\)"),
        ('{"labels": [0.5, 1, 0, 1]}', "must be an integer or a name"),
        ('{"labels": ["cat", "dog", "dog", "dog"]}', "'cat' is a name: give their names"),
    ],
)
def test_an_answer_that_is_no_label(answer: str, message: str) -> None:
    with (
        faulty([answer]) as (url, _),
        HttpOracle(settings(url)) as oracle,
        pytest.raises(BrokenContract, match=message),
    ):
        oracle(some(4))
    assert oracle.ledger.paid == 4  # the server has counted them


@pytest.mark.parametrize(
    ("status", "message"),
    [("401", "--header"), ("404", "check the URL"), ("413", "--batch-size"), ("302", "redirects")],
)
def test_a_refusal_is_not_tried_again_and_not_paid(status: str, message: str) -> None:
    with faulty([status]) as (url, keys), HttpOracle(settings(url)) as oracle:
        with pytest.raises(InvalidInput, match=message):
            oracle(some(4))
        assert len(keys) == 1
        assert oracle.ledger.paid == 0
        assert len(oracle(some(4))) == 4
        assert oracle.ledger.resent == 0


def test_a_server_that_always_fails_is_named() -> None:
    with (
        faulty(["500"] * 9) as (url, _),
        HttpOracle(settings(url, attempts=2)) as oracle,
        pytest.raises(BrokenContract, match="500 in all of 2 attempts"),
    ):
        oracle(some(4))


def test_nobody_listens() -> None:
    with faulty([]) as (url, _):
        pass
    with (
        HttpOracle(settings(url, attempts=2)) as oracle,
        pytest.raises(InvalidInput, match="is the server running"),
    ):
        oracle(some(2))


def test_the_cache_outlives_the_client(tmp_path: Path) -> None:
    images, cache = some(10), tmp_path / "cache.db"
    with faulty([]) as (url, keys):
        for known in (0, 10):
            with HttpOracle(settings(url), cache) as oracle:
                assert torch.equal(oracle(images), bright(images).argmax(1))
                assert oracle.ledger.cached == known
                assert oracle.ledger.paid == 10
        assert len(keys) == 3
        with pytest.raises(InvalidInput, match="holds answers of"):
            HttpOracle(settings(url, request="npy"), cache)


def test_a_lost_answer_is_asked_for_under_its_old_key(tmp_path: Path) -> None:
    images, cache = some(4), tmp_path / "cache.db"
    with faulty(["cut"] * 2) as (url, keys):
        with (
            HttpOracle(settings(url, attempts=2), cache) as oracle,
            pytest.raises(InvalidInput, match="did not answer"),
        ):
            oracle(images)
        with HttpOracle(settings(url), cache) as oracle:
            # another question comes first; the lost one is settled all the same
            assert torch.equal(oracle(some(2)), bright(some(2)).argmax(1))
            assert torch.equal(oracle(images), bright(images).argmax(1))
            assert (oracle.ledger.paid, oracle.ledger.resent) == (6, 4)
        assert len(set(keys)) == 2
        assert len(keys) == 4


def test_the_budget_is_kept_across_runs(tmp_path: Path) -> None:
    cache = tmp_path / "cache.db"
    with faulty([]) as (url, keys):
        with HttpOracle(settings(url, queries=10), cache) as oracle:
            oracle(some(8))
            with pytest.raises(QueryBudgetSpent, match="5 more images .* 10 queries, 8 are paid"):
                oracle(some(5))
        with HttpOracle(settings(url, queries=10), cache) as oracle:
            with pytest.raises(QueryBudgetSpent):
                oracle(some(3))
            oracle(some(8))
            oracle(some(2))
        assert len(keys) == 3


def test_names_and_templates() -> None:
    images = some(2)
    said = '{"out": [{"label": "dark"}, {"label": "bright"}]}'
    with (
        faulty([said]) as (url, _),
        HttpOracle(settings(url, response="out.*.label", names=("dark", "bright"))) as oracle,
    ):
        assert oracle(images).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"url": "http://example.com/x"}, "--i-own-this"),
        ({"url": "http://127.0.0.1.example.com/x"}, "--i-own-this"),
        ({"url": "ftp://127.0.0.1/x"}, "must be http"),
        ({"url": "http:///x"}, "must be http"),
        ({"url": "http://127.0.0.1:port/"}, "not a URL"),
        ({"request": "jpg"}, "no JSON"),
        ({"request": '{"a": 1}'}, "one string"),
        ({"classes": 1}, ">= 2"),
        ({"queries": 0}, ">= 1"),
        ({"rate": 0.0}, "> 0"),
        ({"names": ("a",)}, "one a class"),
    ],
)
def test_bad_settings(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(EpsballError, match=message):
        HttpSettings(**(dict[str, Any](url="http://127.0.0.1/", classes=2) | bad))


def test_another_host_needs_confirmation() -> None:
    assert HttpSettings("http://example.com/", classes=2, owned=True).owned


def test_a_rate_is_kept() -> None:
    with faulty([]) as (url, _), HttpOracle(settings(url, batch_size=1, rate=20.0)) as oracle:
        begin = time.monotonic()
        oracle(some(5))
        assert time.monotonic() - begin >= 4 / 20
