"""The end of a time budget, looked at before every call of the model."""

import time

from epsball.errors import EpsballError


class OutOfTime(EpsballError):
    """The time that this part of a run was given is over."""


def check_deadline(deadline: float) -> None:
    """Stop what is running where its time is over.

    Args:
        deadline: by `time.monotonic`; infinite: never.

    Raises:
        OutOfTime: it has passed.
    """
    if time.monotonic() > deadline:
        raise OutOfTime("the time budget is over")
