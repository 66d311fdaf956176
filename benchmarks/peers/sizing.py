"""Each library's own best batch, looked for once with few steps and kept."""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.peers.cells import Setup
from benchmarks.peers.jobs import Attack, Job
from benchmarks.peers.registry import ENTRANTS, attacks_of
from benchmarks.peers.timing import timed

from epsball.evaluation.engine.asking import is_out_of_memory

_REPEATS = 2
_FEW = 2  # images that warm up
_SOME = 16  # images that tell how long all would take


def sizes_to_try(batches: Sequence[int], images: int) -> list[int]:
    """Return the batches worth trying: up to the first that takes all images at once.

    Example:
        >>> sizes_to_try((16, 32, 64), 40), sizes_to_try((16, 32), 500)
        ([16, 32, 40], [16, 32])
    """
    small = [size for size in batches if size < images]
    return small if len(small) == len(batches) else [*small, images]


def short_attack(entrant: str, setup: Setup) -> Attack:
    """Return the attack that stands for a method where its full work would take too long."""
    table = attacks_of(entrant)
    others = attacks_of("epsball") | table if ENTRANTS[entrant].home == "ours" else table
    stand_ins = [others[name] for name in setup.of_method.sized_as if name in others]
    return stand_ins[0] if stand_ins else table[setup.method]


def warm_up(entrant: str, setup: Setup, job: Job) -> None:
    """Let a library import and build what it keeps, on a few images and steps."""
    few = replace(
        job, images=job.images[:_FEW], labels=job.labels[:_FEW], steps=setup.of_method.light
    )
    timed(short_attack(entrant, setup), few)


def predicted_seconds(entrant: str, setup: Setup, job: Job) -> float:
    """Guess the seconds of a turn from a few steps on a few images; 0 where that tells nothing.

    Larger batches are faster, and some attacks end early: it can be several times too much.
    """
    method = setup.of_method
    if method.sized_as:
        return 0.0
    count = min(_SOME, len(job.images))
    steps = min(method.light, setup.steps)
    few = replace(job, images=job.images[:count], labels=job.labels[:count], steps=steps)
    _, seconds = timed(short_attack(entrant, setup), replace(few, batch=count))
    return seconds * len(job.images) / count * setup.steps / steps


def time_batches(entrant: str, setup: Setup, job: Job, batches: Sequence[int]) -> dict[int, float]:
    """Time short runs at every batch.

    Args:
        entrant: who.
        setup: what.
        job: its full work.
        batches: sizes to try.

    Returns:
        Seconds by batch, the faster of two runs, the best first; batches that the memory does not
        hold are left out.
    """
    tried: dict[int, float] = {}
    attack, steps = short_attack(entrant, setup), setup.of_method.light
    for batch in sizes_to_try(batches, len(job.images)):
        short = replace(job, steps=steps, batch=batch)
        try:
            tried[batch] = min(timed(attack, short)[1] for _ in range(_REPEATS))
        except (RuntimeError, MemoryError) as error:
            if not tried or not is_out_of_memory(error):
                raise
            break
    return dict(sorted(tried.items(), key=lambda pair: pair[1]))
