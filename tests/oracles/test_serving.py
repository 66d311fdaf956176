"""The server: what it answers, refuses and counts; and the oracle against it."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from tests.oracles.faulty import bright, serving

from epsball.attacks import hopskipjump
from epsball.errors import BrokenContract, InvalidInput
from epsball.oracles import HttpOracle, HttpSettings, LabelOnly, OracleClassifier
from epsball.oracles.request import named_encoding
from epsball.oracles.serving.app import _Service, build_app
from epsball.oracles.serving.counter import Counter
from epsball.oracles.serving.decoding import decode
from epsball.oracles.serving.detector import Detector, DetectorSettings
from epsball.oracles.serving.run import run_server

SHAPE = (1, 3, 4)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def png(array: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("request_form", ["npy", "npy8", "png", '{"images": "$images"}'])
def test_every_form_gives_the_models_labels_and_the_same_count(request_form: str) -> None:
    images = torch.randint(256, (9, *SHAPE)) / 255
    counter = Counter(None)
    with serving(build_app(bright, SHAPE, counter=counter)) as url:
        settings = HttpSettings(f"{url}/classify", classes=2, request=request_form, batch_size=4)
        with HttpOracle(settings) as oracle:
            assert torch.equal(oracle(images), LabelOnly(bright)(images))
            said = httpx.get(f"{url}/ledger", trust_env=False).json()
            assert said["queries"] == oracle.ledger.paid == 9


def test_a_key_is_counted_once_and_stands_for_one_body() -> None:
    counter = Counter(None)
    body = npy(np.zeros((2, *SHAPE), np.uint8))
    other = npy(np.ones((2, *SHAPE), np.uint8))
    headers = {"Content-Type": "application/x-npy", "Idempotency-Key": "a"}
    with (
        serving(build_app(bright, SHAPE, counter=counter)) as url,
        httpx.Client(trust_env=False, base_url=url, headers=headers) as client,
    ):
        for _ in range(3):
            assert client.post("/classify", content=body).json() == {"labels": [0, 0]}
        assert counter.counts() == {"queries": 2, "repeated": 2}
        assert client.post("/classify", content=other).status_code == 400


def test_the_count_outlives_the_server(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    Counter(file).add("k", "body", [1, 0, 1])
    assert Counter(file).known("k", "body") == [1, 0, 1]
    assert Counter(file).counts()["queries"] == 3


def test_large_requests_are_refused() -> None:
    app = build_app(bright, SHAPE, counter=Counter(None), max_bytes=500, max_images=3)
    headers = {"Content-Type": "application/x-npy"}
    with (
        serving(app) as url,
        httpx.Client(trust_env=False, base_url=url, headers=headers) as client,
    ):
        many = npy(np.zeros((4, *SHAPE), np.uint8))
        assert client.post("/classify", content=many).status_code == 413
        assert client.post("/classify", content=bytes(501)).status_code == 413


class Evil:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (npy(np.array([Evil()], dtype=object)), "application/x-npy"),
        (pickle.dumps(Evil()), "application/x-npy"),
        (npy(np.zeros((1, 3, 3, 4), np.uint8)), "application/x-npy"),
        (npy(np.zeros((0, *SHAPE), np.uint8)), "application/x-npy"),
        (npy(np.zeros((1, *SHAPE), np.float64)), "application/x-npy"),
        (npy(np.full((1, *SHAPE), np.nan, np.float32)), "application/x-npy"),
        (npy(np.full((1, *SHAPE), 1.5, np.float32)), "application/x-npy"),
        (npy(np.zeros((1, *SHAPE), np.uint8))[:-3], "application/x-npy"),
        (b"GIF89a", "image/png"),
        (png(np.zeros((3, 4, 3), np.uint8)), "image/png"),
        (b"[1, 2]", "application/json"),
        (b'{"images": [[1], [1, 2]]}', "application/json"),
        (b'{"images": "x"}', "application/json"),
        (b"", "text/plain"),
    ],
)
def test_bad_images_are_refused_and_nothing_is_unpickled(body: bytes, kind: str) -> None:
    with pytest.raises(InvalidInput):
        decode(body, kind, SHAPE)


def test_all_forms_decode_to_the_same_image() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(1, *SHAPE)
    expected = image.astype(np.float32) / np.float32(255)
    listed = json.dumps({"images": expected.tolist()}).encode()
    for body, kind in (
        (npy(image), "application/x-npy"),
        (npy(expected), "application/x-npy"),
        (png(image[0, 0]), "image/png"),
        (listed, "application/json; charset=utf-8"),
    ):
        assert np.array_equal(decode(body, kind, SHAPE), expected)


def test_a_decision_based_attack_takes_an_oracle() -> None:
    oracle = LabelOnly(bright)
    x = torch.full((1, *SHAPE), 0.6)
    adv = hopskipjump(OracleClassifier(oracle, 2), x, torch.tensor([1]), queries=300)
    assert bright(adv).argmax(1).tolist() == [0]
    assert 0.1 * 12**0.5 <= float((adv - x).norm()) < 0.4
    assert oracle.ledger.paid <= 300


def test_an_oracle_of_more_classes_is_refused() -> None:
    model = OracleClassifier(LabelOnly(lambda x: x.flatten(1)), 3)
    with pytest.raises(BrokenContract, match="label 3"):
        model(torch.eye(4)[None, 3:].view(1, 1, 1, 4))


def test_the_detector_sees_an_attack_and_not_honest_users() -> None:
    generator = np.random.default_rng(0)
    detector = Detector(DetectorSettings(neighbours=5, block=True))
    honest = generator.random((60, 1, 28, 28), dtype=np.float32)
    assert not any(detector.blocks("a", one[None]) for one in honest)
    assert detector.counts()["detections"] == 0
    noise = generator.normal(0, 0.01, (60, 1, 28, 28)).astype(np.float32)
    near = [(honest[:1] + one).clip(0, 1) for one in noise]
    attack = [detector.blocks("b", one) for one in near]
    assert not any(attack[:5])
    assert all(attack[5:])
    assert not detector.blocks("a", np.flip(honest[:1]))


@pytest.mark.parametrize("bad", [{"threshold": 0.0}, {"neighbours": 0}, {"memory": 5}])
def test_bad_detectors(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="detector"):
        DetectorSettings(**bad)


def test_a_number_that_is_no_port_is_refused() -> None:
    app = build_app(bright, (1, 4, 4), counter=Counter(None))
    with pytest.raises(InvalidInput, match="cannot listen at 127.0.0.1:99999 .*choose another --p"):
        run_server(app, host="127.0.0.1", port=99999)


def test_few_small_images_are_scored_in_one_thread() -> None:
    threads = list[int]()

    def model(images: torch.Tensor) -> torch.Tensor:
        threads.append(torch.get_num_threads())
        return bright(images)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        service = _Service(
            LabelOnly(model), (1, 64, 64), Counter(None), (), max_images=99, detector=None
        )
        for count in (1, 20):
            body = named_encoding("npy8").write(np.zeros((count, 1, 64, 64), np.uint8))
            assert service.answer(body, "application/x-npy", "", "")[0] == 200
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert threads == [1, 2]
