"""How fast a model gives gradients here, and whether a cheaper copy of it is worth its while."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

from epsball.evaluation.engine.micro_batch import choose_micro_batch
from epsball.evaluation.engine.surrogate import checked_twin, copy_for
from epsball.evaluation.subject import Subject
from epsball.types import Precision

Wanted: TypeAlias = Precision | Literal["auto", "fast"]
_WORTH = 1.3  # how much faster the copy has to be: each of its successes is asked about twice


@dataclass(frozen=True)
class Speed:
    """What was measured, once for a run.

    Args:
        precision: to search in.
        micro_batch: images a forward pass.
        rate: input gradients a second.
    """

    precision: Precision
    micro_batch: int
    rate: float


def measure_speed(subject: Subject, sample: Tensor, wanted: Wanted, seconds: float) -> Speed:
    """Measure what is wanted; "auto" measures model and copy and takes the faster one.

    Args:
        subject: the model.
        sample: (m, c, h, w), a few images.
        wanted: "float32", the model itself; "float32-copy", "bfloat16"; "fast", the copy that suits
            the device; "auto", that one where it is worth it.
        seconds: about how long each measurement may take.
    """
    twin, copied = None, resolved(wanted, subject.device)
    if copied != "float32":
        twin = checked_twin(subject.model, sample.to(subject.device), copied)
    if twin is None:  # a copy that cannot be had or says something else is no use
        return Speed("float32", *choose_micro_batch(subject.model, sample, subject.device, seconds))
    fast = Speed(copied, *choose_micro_batch(twin, sample, subject.device, seconds))
    if wanted != "auto":
        return fast
    own = Speed("float32", *choose_micro_batch(subject.model, sample, subject.device, seconds))
    return fast if fast.rate > _WORTH * own.rate else own


def resolved(wanted: Wanted, device: str) -> Precision:
    """Return what is searched in: the copy that suits the device, where none is named."""
    match wanted:
        case "auto" | "fast":
            return copy_for(device)
        case _:
            return wanted
