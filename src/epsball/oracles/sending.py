"""Sending one HTTP request until it is answered: retries with back-off, a rate limit."""

import threading
import time
from typing import TYPE_CHECKING

from epsball.errors import BrokenContract, InvalidInput

if TYPE_CHECKING:
    import httpx

_REFUSED = {
    401: "it wants credentials: send them with --header 'Authorization: ...'",
    403: "it forbids the request: check your credentials",
    404: "there is nothing at this path: check the URL",
    405: "it takes no POST at this path: check the URL",
    413: "the request is too large: lower --batch-size",
    415: "it does not take this form: change --request",
    422: "it does not take these images: check --request and their size",
}
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_SHOWN = 80
_LARGEST = 1 << 26  # bytes of a response


class Refused(InvalidInput):
    """The server has refused a request for good: it was not counted."""


class RateLimit:
    """Spaces calls so that no more than a number start in a second.

    Args:
        per_second: images a second; None: no limit.
    """

    def __init__(self, per_second: float | None) -> None:
        self._pause = 0.0 if per_second is None else 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, images: int = 1) -> None:
        """Wait until this many images may be sent."""
        if not self._pause:
            return
        with self._lock:
            start = max(self._next, time.monotonic())
            self._next = start + images * self._pause
        time.sleep(max(0.0, start - time.monotonic()))


def post(
    client: "httpx.Client",
    url: str,
    body: bytes,
    headers: dict[str, str],
    *,
    attempts: int,
    timeout: float,
) -> bytes:
    """Send a request until it is answered.

    Args:
        client: with its timeout.
        url: where to.
        body: of the request.
        headers: of the request.
        attempts: tries in all. Between two there is a pause that doubles from 0.1 s to 10 s, or
            the one that the server asks for by Retry-After, up to a minute.
        timeout: of a whole try, in seconds.

    Returns:
        The body of the response with status 200.

    Raises:
        InvalidInput: the server cannot be reached, or refuses the request.
        BrokenContract: it fails again and again, or its response has no end.
    """
    import httpx
    import stamina

    def pause_after(error: Exception) -> bool | float:
        if isinstance(error, httpx.HTTPStatusError):
            if error.response.status_code not in _TRY_AGAIN:
                return False
            retry_after = error.response.headers.get("retry-after", "")
            return min(float(retry_after), 60.0) if retry_after.isdecimal() else True
        return isinstance(error, httpx.TransportError) and not isinstance(
            error, httpx.UnsupportedProtocol
        )

    try:
        for attempt in stamina.retry_context(
            on=pause_after,
            attempts=attempts,
            timeout=None,
            wait_initial=0.1,
            wait_max=10.0,
            wait_jitter=0.1,
        ):
            with attempt:
                return _tried(client, url, body, headers, timeout)
    except httpx.HTTPStatusError as error:
        raise _refusal(url, error.response, attempts) from error
    except httpx.TransportError as error:
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise InvalidInput(
            f"oracle: {url} did not answer in {attempts} attempts ({what}): is the server running? "
            "Give the same command again when it is; nothing that was answered is paid again"
        ) from error
    raise AssertionError  # the loop returns or raises


def _tried(
    client: "httpx.Client", url: str, body: bytes, headers: dict[str, str], timeout: float
) -> bytes:
    """Send a request once; the client's own timeout begins anew with every byte that comes."""
    import httpx

    end = time.monotonic() + timeout
    with client.stream("POST", url, content=body, headers=headers) as response:
        if response.is_error or response.is_redirect:
            response.read()
            response.raise_for_status()
        answer = bytearray()
        for part in response.iter_bytes():
            answer += part
            if len(answer) > _LARGEST:
                raise BrokenContract(
                    f"oracle: the response of {url} is larger than {_LARGEST >> 20} MiB: check "
                    "the URL"
                )
            if time.monotonic() > end:
                raise httpx.ReadTimeout(f"no end of the response in {timeout:g} s")
    return bytes(answer)


def _refusal(url: str, response: "httpx.Response", attempts: int) -> Exception:
    status = response.status_code
    if response.is_redirect:
        where = response.headers.get("location", "elsewhere")
        return Refused(f"oracle: {url} redirects to {where}: give that URL if you mean it")
    if status in _TRY_AGAIN:
        return BrokenContract(
            f"oracle: {url} answered {status} in all of {attempts} attempts: try again later, or "
            "lower --rate and --concurrency"
        )
    answer = response.text[:_SHOWN].strip()
    return Refused(
        f"oracle: {url} answered {status} ({answer!r}): {_REFUSED.get(status, 'check the request')}"
    )
