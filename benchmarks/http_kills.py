"""Clients and servers of the HTTP oracle that are killed at random moments.

A client asks a server about images. It is killed by SIGKILL, or the server is, many times; each
is started anew with the same files. At the end the labels are compared with the model's, the
client's ledger with the number of images, and both with the server's own count.

    python -m benchmarks.http_kills --out DIR [--kills 50]
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import torch
from torch import Tensor

IMAGES = 1200
_SERVER = """
import sys, time
from pathlib import Path
from epsball.oracles.serving.app import build_app
from epsball.oracles.serving.counter import Counter
from epsball.oracles.serving.run import run_server
from benchmarks.http_kills import bright

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
from benchmarks.http_kills import bright

images = torch.arange(int(sys.argv[4])).view(-1, 1, 1, 1) % 251 * torch.ones(1, 1, 3, 4)
images[:, 0, 0, 0], images[:, 0, 0, 1] = torch.arange(len(images)) // 251, 7
images = images / 255
settings = HttpSettings(sys.argv[1], classes=2, batch_size=4, attempts=40)
print("begin", flush=True)
with HttpOracle(settings, Path(sys.argv[2])) as oracle:
    labels = oracle(images)
    right = bool((labels == bright(images).argmax(1)).all())
    counts = [right, len(labels), oracle.ledger.paid, oracle.ledger.resent]
    Path(sys.argv[3]).write_text(json.dumps(counts))
"""


def bright(images: Tensor) -> Tensor:
    """Score the two classes dark and bright."""
    mean = images.mean((1, 2, 3))
    return torch.stack((0.5 - mean, mean - 0.5), 1)


@dataclass(frozen=True)
class Outcome:
    """What became of one run.

    Args:
        kills: how often the victim was killed.
        right: whether every label is the model's.
        labels: that the client has in the end.
        paid: images by the client's ledger.
        queries: images by the server's count.
        resent: images that the client sent again after a kill.
        repeated: requests that the server answered from its ledger, at no charge.
    """

    kills: int
    right: bool
    labels: int
    paid: int
    queries: int
    resent: int
    repeated: int

    @property
    def lost(self) -> int:
        """Return the images without an answer."""
        return IMAGES - self.labels

    @property
    def paid_twice(self) -> int:
        """Return the images that were counted more than once, by either side."""
        return max(self.paid, self.queries) - IMAGES


def one_run(folder: Path, victim: str, kills: int, chance: random.Random) -> Outcome:
    """Kill one side, "client" or "server", up to so many times while 1,200 images are asked."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    server_arguments = (folder / "server.db", port)
    client_arguments = (f"{url}/classify", folder / "client.db", folder / "result.json", IMAGES)
    server = _start(_SERVER, *server_arguments)
    _until_it_answers(f"{url}/ledger")
    client = _start(_CLIENT, *client_arguments)
    struck = 0
    try:
        while struck < kills and client.poll() is None:
            if victim == "client" and client.stdout:
                client.stdout.readline()  # it has begun
            time.sleep(chance.uniform(0.02, 0.3))
            if client.poll() is not None:
                break
            struck += 1
            if victim == "client":
                client = _again(client, _CLIENT, client_arguments)
            else:
                server = _again(server, _SERVER, server_arguments)
                _until_it_goes_on(client, f"{url}/ledger")
        if client.wait(timeout=300) != 0:
            raise RuntimeError(f"the client has failed after {struck} kills of the {victim}")
        right, labels, paid, resent = json.loads((folder / "result.json").read_text())
        counts = _until_it_answers(f"{url}/ledger")
    finally:
        for process in (client, server):
            process.kill()
            process.communicate()
    return Outcome(struck, right, labels, paid, counts["queries"], resent, counts["repeated"])


def many_kills(folder: Path, victim: str, kills: int, seed: int = 0) -> list[Outcome]:
    """Run again and again until the victim has been killed so many times."""
    chance, outcomes = random.Random(seed), list[Outcome]()  # noqa: S311 - no secret
    while (left := kills - sum(one.kills for one in outcomes)) > 0:
        outcomes.append(one_run(folder / f"{victim}-{len(outcomes)}", victim, left, chance))
    return outcomes


def _start(code: str, *arguments: object) -> subprocess.Popen[str]:
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root / "src"), str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _again(
    process: subprocess.Popen[str], code: str, arguments: tuple[object, ...]
) -> subprocess.Popen[str]:
    process.kill()
    process.communicate()
    return _start(code, *arguments)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _until_it_answers(url: str) -> dict[str, int]:
    for _ in range(600):
        try:
            counts: dict[str, int] = httpx.get(url, trust_env=False).json()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return counts
    raise RuntimeError("the server does not come up")


def _until_it_goes_on(client: subprocess.Popen[str], url: str) -> None:
    """Wait until the server counts again: the client may be waiting between two attempts."""
    before = _until_it_answers(url)["queries"]
    while client.poll() is None and _until_it_answers(url)["queries"] == before:
        time.sleep(0.01)


def main() -> None:
    """Kill clients and servers, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=50, help="of each side")
    given = parser.parse_args()
    print("| killed | kills | images | lost | paid twice | resent | answered from the ledger |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for victim in ("client", "server"):
        outcomes = many_kills(given.out, victim, given.kills)
        totals = [
            sum(getattr(one, name) for one in outcomes)
            for name in ("kills", "labels", "lost", "paid_twice", "resent", "repeated")
        ]
        right = "" if all(one.right for one in outcomes) else " (WRONG LABELS)"
        print(f"| {victim} | {' | '.join(map(str, totals))} |{right}", flush=True)


if __name__ == "__main__":
    main()
