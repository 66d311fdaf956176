"""The HTTP application of `epsball serve`."""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from epsball.errors import InvalidInput
from epsball.oracles.local import LabelOnly
from epsball.oracles.serving.counter import Counter
from epsball.oracles.serving.decoding import decode
from epsball.oracles.serving.detector import Detector
from epsball.tensors import Classifier

if TYPE_CHECKING:
    from fastapi import FastAPI

MEBIBYTE = 1 << 20
_FEW_VALUES = 1 << 14  # one colour image of 64 x 64, 20 of MNIST


def build_app(
    model: Classifier,
    shape: tuple[int, int, int],
    *,
    counter: Counter,
    names: Sequence[str] = (),
    max_bytes: int = 16 * MEBIBYTE,
    max_images: int = 1024,
    detector: Detector | None = None,
) -> "FastAPI":
    """Build the application: POST /classify returns labels, GET /ledger what was counted.

    Args:
        model: (n, c, h, w) in [0, 1] to scores.
        shape: (c, h, w) of the images that it takes; others are refused.
        counter: of queries.
        names: of the classes; where given, labels are names.
        max_bytes: of a request's body; larger ones are refused with status 413.
        max_images: of a request.
        detector: of attacks by their queries; None: none.

    Returns:
        The application. Statuses: 400 bad images or a key that was used for others, 403 where
        the detector blocks a client, 413 too large.
    """
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse
    from starlette.concurrency import run_in_threadpool

    service = _Service(
        LabelOnly(model), shape, counter, tuple(names), max_images=max_images, detector=detector
    )
    app = FastAPI(title="epsball serve", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/classify")
    async def classify(request: Request) -> JSONResponse:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                return JSONResponse({"error": f"at most {max_bytes} bytes"}, status_code=413)
        client = request.client.host if request.client else ""
        headers = request.headers
        kind, key = headers.get("content-type", ""), headers.get("idempotency-key", "")
        status, content = await run_in_threadpool(service.answer, bytes(body), kind, key, client)
        return JSONResponse(content, status_code=status)

    @app.get("/ledger")
    async def ledger() -> JSONResponse:
        detected = {} if detector is None else detector.counts()
        return JSONResponse(counter.counts() | detected)

    return app


@dataclass(frozen=True)
class _Service:
    """What the server does with one request; see `build_app` for the fields."""

    oracle: LabelOnly
    shape: tuple[int, int, int]
    counter: Counter
    names: tuple[str, ...]
    max_images: int
    detector: Detector | None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(
        self, body: bytes, content_type: str, key: str, client: str
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the content of the response."""
        digest = hashlib.sha256(body).hexdigest()
        try:
            # one request at a time: a key that arrives twice at once is answered once
            with self._lock:
                labels = self.counter.known(key, digest) if key else None
                if labels is None:
                    images = decode(body, content_type, self.shape)
                    if len(images) > self.max_images:
                        return 413, {"error": f"at most {self.max_images} images a request"}
                    if self.detector is not None and self.detector.blocks(client, images):
                        return 403, {"error": "too many similar images were asked about"}
                    labels = self._labels_of(torch.from_numpy(images))
                    self.counter.add(key, digest, labels)
        except InvalidInput as error:
            return 400, {"error": str(error)}
        return 200, {"labels": [self.names[one] for one in labels] if self.names else labels}

    def _labels_of(self, images: torch.Tensor) -> list[int]:
        """Ask the model; for a few small images in one thread, as the others would only wait."""
        threads = torch.get_num_threads()
        if images.numel() <= _FEW_VALUES:
            torch.set_num_threads(1)
        try:
            labels: list[int] = self.oracle(images).tolist()
        finally:
            torch.set_num_threads(threads)
        return labels
