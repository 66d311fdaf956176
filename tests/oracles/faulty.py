"""A server that fails in a given order, and one that serves a model, both in this process."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import numpy as np
import torch
import uvicorn
from torch import Tensor


def bright(images: Tensor) -> Tensor:
    """Score the two classes dark and bright."""
    mean = images.mean((1, 2, 3))
    return torch.stack((0.5 - mean, mean - 0.5), 1)


@contextmanager
def faulty(plan: Sequence[str]) -> Iterator[tuple[str, list[str]]]:  # noqa: C901 - a handler in full
    """Serve `bright`; each request meets the next fault of the plan, "ok" afterwards.

    Yields the URL and the keys of the requests in the order of their arrival.
    """
    faults, keys, lock = list(plan), list[str](), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                keys.append(self.headers["Idempotency-Key"])
                fault = faults.pop(0) if faults else "ok"
            labels = bright(torch.from_numpy(np.load(BytesIO(body)) / 255)).argmax(1).tolist()
            self._answer(fault, json.dumps({"labels": labels}).encode())

        def _answer(self, fault: str, right: bytes) -> None:
            if fault in ("drip", "endless"):
                self._send_for_long(fault)
            elif fault == "cut":  # half of a promised body
                self._send(200, right[:5], length=1000)
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif fault == "half-closed":  # reads on, and never answers
                self.connection.shutdown(socket.SHUT_WR)
            elif fault == "closed after":  # without a word, while the client keeps the connection
                self._send(200, right)
                self.close_connection = True
            elif fault.isdecimal():
                self._send(int(fault), b'{"error": "told to"}')
            else:
                time.sleep(0.5 if fault == "slow" else 0)
                self._send(200, right if fault in ("ok", "slow") else fault.encode())

        def _send_for_long(self, fault: str) -> None:
            self._send(200, b"", length=1 << 40)
            while True:  # until the client gives up
                self.wfile.write(b" " * (1 if fault == "drip" else 1 << 20))
                time.sleep(0.05 if fault == "drip" else 0)

        def _send(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(length or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Say nothing: clients that give up are part of the test."""

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", keys
        finally:
            server.shutdown()


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an application of ours, and yield its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
