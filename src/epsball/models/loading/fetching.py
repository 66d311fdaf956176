"""What hubs are asked for over the network, with one line where they do not answer."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from epsball.errors import EpsballError, InvalidInput
from epsball.models.loading.messages import one_line
from epsball.models.loading.request import Request

T = TypeVar("T")
WITH_FILE = "give the weights with --weights FILE"


@contextmanager
def _without_retries_on_the_screen() -> Iterator[None]:
    """Keep huggingface_hub from printing each try: the error that ends them says enough."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def fetched(request: Request, fetch: Callable[[], T], remedy: str = WITH_FILE) -> T:
    """Fetch something of a hub.

    Args:
        request: names it.
        fetch: does it.
        remedy: what to do instead.

    Raises:
        InvalidInput: the hub cannot be reached or does not have it.
    """
    try:
        with _without_retries_on_the_screen():
            return fetch()
    except EpsballError:
        raise
    except Exception as error:  # each hub has errors of its own for no network and no such file
        raise InvalidInput(
            f"{request.spec} cannot be fetched ({one_line(error)}): "
            f"check the name and the network, or {remedy}"
        ) from error
