"""Clients and servers that are killed: no answer is lost, and no image is counted twice."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

IMAGES = 1200
KILLS = 25

_SERVER = """
import sys, time
from pathlib import Path
from epsball.oracles.serving.app import build_app
from epsball.oracles.serving.counter import Counter
from epsball.oracles.serving.run import run_server
from tests.oracles.faulty import bright

def slow(images):
    time.sleep(0.01)
    return bright(images)

app = build_app(slow, (1, 3, 4), counter=Counter(Path(sys.argv[1])))
run_server(app, host="127.0.0.1", port=int(sys.argv[2]))
"""
_CLIENT = """
import json, sys
from pathlib import Path
import torch
from epsball.oracles import HttpOracle, HttpSettings
from tests.oracles.faulty import bright

images = torch.arange(int(sys.argv[4])).view(-1, 1, 1, 1) % 251 * torch.ones(1, 1, 3, 4)
images[:, 0, 0, 0], images[:, 0, 0, 1] = torch.arange(len(images)) // 251, 7
images = images / 255
settings = HttpSettings(sys.argv[1], classes=2, batch_size=4, attempts=40)
print("begin", flush=True)
with HttpOracle(settings, Path(sys.argv[2])) as oracle:
    labels = oracle(images)
    right = bool((labels == bright(images).argmax(1)).all())
    Path(sys.argv[3]).write_text(json.dumps([right, len(labels), oracle.ledger.paid]))
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until_it_answers(url: str) -> dict[str, int]:
    for _ in range(600):
        try:
            counts: dict[str, int] = httpx.get(url, trust_env=False).json()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return counts
    pytest.fail("the server does not come up")


def one_run(folder: Path, victim: str, kills: int, chance: random.Random) -> tuple[int, int]:
    """Kill one side again and again; return the kills that struck and the images sent again."""
    port, struck = free_port(), 0
    url = f"http://127.0.0.1:{port}"
    server_arguments = (folder / "server.db", port)
    client_arguments = (f"{url}/classify", folder / "client.db", folder / "result.json", IMAGES)
    server = start(_SERVER, *server_arguments)
    until_it_answers(f"{url}/ledger")
    client = start(_CLIENT, *client_arguments)

    try:
        while struck < kills and client.poll() is None:
            if victim == "client":
                assert client.stdout
                client.stdout.readline()  # it has begun
            time.sleep(chance.uniform(0.02, 0.3))
            if client.poll() is not None:
                break
            struck += 1
            if victim == "client":
                client.kill()
                client.communicate()
                client = start(_CLIENT, *client_arguments)
            else:
                server.kill()
                server.communicate()
                server = start(_SERVER, *server_arguments)
                before = until_it_answers(f"{url}/ledger")["queries"]
                # the client may be waiting between two attempts
                while client.poll() is None:
                    if until_it_answers(f"{url}/ledger")["queries"] > before:
                        break
                    time.sleep(0.01)
        assert client.wait(timeout=300) == 0
        right, count, paid = json.loads((folder / "result.json").read_text())
        counts = until_it_answers(f"{url}/ledger")
    finally:
        for process in (client, server):
            process.kill()
            process.communicate()
    assert right
    assert count == IMAGES  # none is lost
    assert counts["queries"] == paid == IMAGES  # none is paid twice
    return struck, counts["repeated"]


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["client", "server"])
def test_kills(victim: str, tmp_path: Path) -> None:
    chance, struck, number = random.Random(0), 0, 0
    while struck < KILLS:
        folder = tmp_path / str(number)
        folder.mkdir()
        more, _ = one_run(folder, victim, KILLS - struck, chance)
        struck += more
        number += 1
    assert struck >= KILLS
