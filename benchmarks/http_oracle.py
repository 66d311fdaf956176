"""Throughput of the HTTP oracle on loopback beside the same classifier in this process.

`epsball serve` serves zoo:base-cnn (fresh weights: the time does not depend on them) in a process
of its own, on the same cores. The client asks it about images of MNIST, none of them twice, with
64 images a request as .npy bytes, and one by one as PNG files; both with the client's cache on disk
and the server's ledger on disk. The classifier itself is asked with 64 images a batch, in one
thread and in as many as there are cores. All take turns; each rate is the best of the rounds.

    python -m benchmarks.http_oracle [--rounds 3] [--images 6400] [--pngs 800]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from epsball.data import load_data, to_unit
from epsball.models.zoo.base_cnn import build_base_cnn
from epsball.oracles import HttpOracle, HttpSettings, LabelOnly

BATCH = 64


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--pngs", type=int, default=800)
    given = parser.parse_args()
    model, threads = build_base_cnn().eval(), os.cpu_count() or 1
    data = load_data("mnist", split="test")
    images = to_unit(data.read(np.arange(given.images)))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_file(model.state_dict(), folder / "model.safetensors")
        server, url = served(folder)
        try:
            rates = [
                (
                    by_label(model, images, 1),
                    by_label(model, images, threads),
                    over_http(url, folder / f"npy-{number}.db", images, "npy8"),
                    over_http(url, folder / f"png-{number}.db", images[: given.pngs], "png"),
                )
                for number in range(given.rounds)
            ]
        finally:
            server.terminate()
            server.wait()
    single, several, npy, png = (max(column) for column in zip(*rates, strict=True))
    direct = max(single, several)
    print(f"{given.images} images, best of {given.rounds}")
    print("| way | images a second | share |\n| --- | --- | --- |")
    for name, rate in (("1 thread", single), (f"{threads} threads", several)):
        print(f"| in this process, {name}, {BATCH} a batch | {rate:.0f} | {rate / direct:.0%} |")
    print(f"| HTTP, .npy, {BATCH} a request | {npy:.0f} | {npy / direct:.0%} |")
    print(f"| HTTP, one PNG a request | {png:.0f} | {png / direct:.0%} |")


def served(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start `epsball serve`, and return its process and address."""
    file = folder / "port"
    command = ["from epsball.cli import main; main()", "serve", "zoo:base-cnn", "--data", "mnist"]
    options = {
        "--weights": folder / "model.safetensors",
        "--port": 0,
        "--port-file": file,
        "--ledger": folder / "ledger.db",
    }
    for option, value in options.items():
        command += [option, str(value)]
    server = subprocess.Popen([sys.executable, "-c", *command], stdout=subprocess.DEVNULL)
    while not file.exists() or not file.read_text():
        if server.poll() is not None:
            raise RuntimeError("the server has ended")
        time.sleep(0.05)
    return server, f"http://127.0.0.1:{file.read_text()}/classify"


def by_label(model: nn.Module, images: Tensor, threads: int) -> float:
    """Return images a second in this process."""
    oracle = LabelOnly(model, batch_size=BATCH)
    torch.set_num_threads(threads)
    oracle(images[:BATCH])
    start = time.perf_counter()
    oracle(images)
    rate = len(images) / (time.perf_counter() - start)
    torch.set_num_threads(1)  # the client itself computes nothing
    return rate


def over_http(url: str, cache: Path, images: Tensor, request: str) -> float:
    """Return images a second over HTTP."""
    settings = HttpSettings(url, classes=10, request=request, batch_size=BATCH)
    with HttpOracle(settings, cache) as oracle:
        oracle(1 - images[:BATCH])  # connections are open, the server is warm
        start = time.perf_counter()
        oracle(images)
        return len(images) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
