"""How many a share is. Imports no torch."""

import math

_HAIR = 1e-9  # 0.29 * 100 is a last bit below 29


def count_of(share: float, whole: int) -> int:
    """Return how many of a whole fit into a share of it.

    Args:
        share: in [0, 1].
        whole: 0 or more.

    Example:
        >>> count_of(0.29, 100), count_of(0.05, 30)
        (29, 1)
    """
    return math.floor(share * whole + _HAIR)
