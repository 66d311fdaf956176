"""How numbers are printed: one voice for page, tables, captions and axes."""

from collections.abc import Sequence

from epsball.evaluation.metrics import present
from epsball.evaluation.metrics.present import eps_text as distance

__all__ = ["count", "distance", "interval", "note", "percent", "points", "size"]

MISSING = "\u2013"
_SPACE = "\u00a0"  # keeps a number and its unit on one line


def percent(share: float | None, *, digits: int = 1) -> str:
    """Print a share in [0, 1] as a percentage; a dash where it is not known.

    Example:
        >>> percent(0.1234).replace(chr(0xA0), " ")
        '12.3 %'
    """
    if share is None:
        return MISSING
    return present.percent(share, digits=digits).replace(" ", _SPACE)


def interval(bounds: Sequence[float] | None) -> str:
    """Print an interval of shares: "10.2 to 14.5 %"; a dash where it is not known."""
    if bounds is None:
        return MISSING
    return present.interval(bounds).replace(" %", f"{_SPACE}%")


def note(bounds: Sequence[float] | None) -> str:
    """Print an interval below a number; nothing where it is not known."""
    return "" if bounds is None else interval(bounds)


def points(difference: float | None) -> str:
    """Print a difference of two shares in percentage points, with its sign."""
    return MISSING if difference is None else f"{100 * difference:+.1f}"


def count(value: float | None) -> str:
    """Print a whole number with thousands set apart; a dash where it is not known."""
    return MISSING if value is None else f"{value:,.0f}"


def size(value: float | None) -> str:
    """Print a perturbation size with three significant digits."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def probability(value: float | None) -> str:
    """Print a p-value: never as zero.

    Example:
        >>> probability(1e-9), probability(0.0421), probability(1.0)
        ('< 0.001', '0.042', '1.000')
    """
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float | None) -> str:
    """Print a time as a person would say it.

    Example:
        >>> duration(4.26).replace(chr(0xA0), " "), duration(200).replace(chr(0xA0), " ")
        ('4.3 s', '3 min 20 s')
    """
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}{_SPACE}h {minutes}{_SPACE}min"
    return f"{minutes}{_SPACE}min {rest}{_SPACE}s"


def brief(name: str, limit: int) -> str:
    """Shorten a name: to its first synonym where that fits, else with three dots.

    Example:
        >>> brief("tench, Tinca tinca", 10), len(brief("a" * 30, 10))
        ('tench', 10)
    """
    name = name.strip()
    if len(name) <= limit:
        return name
    first = name.split(",")[0]
    return first if len(first) <= limit else f"{name[: limit - 1].rstrip()}\u2026"


def whole_ticks(top: float, most: int = 5) -> list[int]:
    """Choose round whole numbers from 0 up to `top`, at most `most` steps.

    Example:
        >>> whole_ticks(2), whole_ticks(340)
        ([0, 1, 2], [0, 100, 200, 300])
    """
    size = 1
    while True:
        for step in (size, 2 * size, 5 * size):
            if step * most >= top:
                return list(range(0, int(top) + 1, step))
        size *= 10


def listing(words: Sequence[str]) -> str:
    """Join words into a phrase: "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
