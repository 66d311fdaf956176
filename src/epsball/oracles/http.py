"""An oracle behind HTTP: cached on disk, counted, limited."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from epsball.errors import BrokenContract, EpsballError, InvalidInput, QueryBudgetSpent
from epsball.oracles.hosts import check_url
from epsball.oracles.journal import Journal
from epsball.oracles.protocol import Ledger
from epsball.oracles.request import named_encoding
from epsball.oracles.response import class_of, labels_at
from epsball.oracles.sending import RateLimit, Refused, post
from epsball.tensors import Images, Labels


@dataclass(frozen=True)
class HttpSettings:
    """How an HTTP oracle is asked.

    Args:
        url: http or https.
        classes: k, the number of labels.
        request: "npy", "npy8", "png" or a JSON template; see `epsball.oracles.request`.
        response: path to the labels in the JSON response; see `epsball.oracles.response`.
        names: of the classes, in order, where labels are names.
        headers: sent with every request.
        batch_size: images a request.
        concurrency: requests at once.
        attempts: tries of a request.
        timeout: of a try, in seconds.
        rate: images a second; None: no limit.
        queries: the most images that may ever be paid, earlier runs with the same cache included;
            None: no limit.
        owned: the caller has confirmed that another host may be attacked.

    Raises:
        InvalidInput: a value breaks its rule.
    """

    url: str
    classes: int
    request: str = "npy8"
    response: str = "labels"
    names: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    batch_size: int = 64
    concurrency: int = 2
    attempts: int = 8
    timeout: float = 30.0
    rate: float | None = None
    queries: int | None = None
    owned: bool = False

    def __post_init__(self) -> None:
        """Refuse values that break their rules, before anything is sent."""
        named_encoding(self.request)
        check_url(self.url, owned=self.owned)
        least = {"classes": 2, "batch_size": 1, "concurrency": 1, "attempts": 1, "queries": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise InvalidInput(f"oracle: {name} must be >= {low}, got {value}")
        for name in ("timeout", "rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInput(f"oracle: {name} must be > 0, got {value}")
        if self.names and len(self.names) != self.classes:
            raise InvalidInput(
                f"oracle: names must be {self.classes}, one a class, got {len(self.names)}"
            )


class HttpOracle:
    """Asks a server for labels; what was answered once is never sent again.

    Args:
        settings: how.
        cache: SQLite file of the answers; None: they are kept in memory only.

    Example:
        >>> HttpOracle(HttpSettings("http://127.0.0.1:8000/classify", classes=10)).ledger
        Ledger(paid=0, cached=0, resent=0)
    """

    def __init__(self, settings: HttpSettings, cache: Path | None = None) -> None:
        import httpx

        logging.getLogger("stamina").addHandler(logging.NullHandler())  # retries are not news
        self.settings = settings
        self._encoding = named_encoding(settings.request)
        self._journal = Journal(cache, f"{settings.url} ({settings.request})")
        self._cached = 0
        self._limit = RateLimit(settings.rate)
        # no redirects: they could lead to a host that the user has not confirmed
        self._client = httpx.Client(
            timeout=settings.timeout,
            follow_redirects=False,
            trust_env=not check_url(settings.url, owned=settings.owned),
            limits=httpx.Limits(max_connections=settings.concurrency),
        )

    @property
    def ledger(self) -> Ledger:
        """Return what was asked so far; with a cache on disk, in all runs together."""
        return Ledger(self._journal.count("paid"), self._cached, self._journal.count("resent"))

    def __call__(self, images: Images) -> Labels:
        """Return labels, (n,), int64, on the device of images.

        Raises:
            InvalidInput: the server cannot be reached or refuses.
            QueryBudgetSpent: the images that are not known yet are more than may still be paid;
                nothing was sent.
            BrokenContract: the server's answers are no labels.
        """
        self._finish_open_requests()
        pixels = self._as_sent(images)
        hashes = [_hash(image) for image in pixels]
        known = self._journal.answers(hashes)
        first = {h: i for i, h in reversed(list(enumerate(hashes))) if h not in known}
        self._cached += len(hashes) - len(first)
        self._ask(pixels, sorted(first.values()), hashes)
        known |= self._journal.answers(list(first))
        names, classes = self.settings.names, self.settings.classes
        labels = [class_of(known[h], names, classes) for h in hashes]
        return torch.tensor(labels, dtype=torch.int64, device=images.device)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        """Return the oracle."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def _as_sent(self, images: Images) -> NDArray[Any]:
        values = images.detach().cpu().numpy().astype(np.float32)
        if not self._encoding.eight_bits:
            return values
        eight: NDArray[np.uint8] = np.rint(values * 255).astype(np.uint8)
        return eight

    def _ask(self, pixels: NDArray[Any], rows: Sequence[int], hashes: Sequence[str]) -> None:
        budget = self.settings.queries
        paid = self._journal.count("paid")
        if budget is not None and paid + len(rows) > budget:
            raise QueryBudgetSpent(
                f"oracle: {len(rows)} more images would exceed the budget of {budget} queries, "
                f"{paid} are paid: raise --queries"
            )
        size = 1 if self._encoding.single else self.settings.batch_size
        parts = (list(rows[at : at + size]) for at in range(0, len(rows), size))
        running: dict[Future[bytes], tuple[str, list[str]]] = {}
        failures: list[EpsballError] = []
        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            # the journal is written by this thread alone
            while True:
                wanted = 0 if failures else self.settings.concurrency - len(running)
                for part in islice(parts, wanted):
                    of, body = [hashes[row] for row in part], self._encoding.write(pixels[part])
                    key = self._journal.open(of, body)
                    running[pool.submit(self._post, key, body, len(part))] = (key, of)
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    try:
                        self._settle(future.result, *running.pop(future))
                    except EpsballError as error:
                        failures.append(error)
        if failures:
            raise failures[0]

    def _settle(self, answer: Callable[[], bytes], key: str, images: list[str]) -> None:
        """Write down what became of a request."""
        try:
            body = answer()
        except Refused:
            self._journal.withdraw(key)
            raise
        try:
            labels = labels_at(body, self.settings.response, len(images))
        except BrokenContract:
            self._journal.close(key, images, None)  # it was counted all the same
            raise
        self._journal.close(key, images, labels)

    def _finish_open_requests(self) -> None:
        """Send again, under their old keys, the requests whose answers were lost."""
        for key, images, body in self._journal.left_open():
            self._journal.count_resent(len(images))
            self._settle(partial(self._post, key, body, len(images)), key, images)

    def _post(self, key: str, body: bytes, images: int) -> bytes:
        self._limit.wait(images)
        headers = {"Content-Type": self._encoding.content_type, "Idempotency-Key": key}
        return post(
            self._client,
            self.settings.url,
            body,
            headers | dict(self.settings.headers),
            attempts=self.settings.attempts,
            timeout=self.settings.timeout,
        )


def _hash(image: NDArray[Any]) -> str:
    head = f"{image.dtype}{image.shape}".encode()
    return hashlib.sha256(head + image.tobytes()).hexdigest()[:32]
