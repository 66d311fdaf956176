"""What is asked of a run."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from epsball.evaluation.belief import Control
from epsball.evaluation.engine.measuring import RequestedPrecision
from epsball.evaluation.metrics.gate import Gate
from epsball.evaluation.settings import AttackSetting

Sample: TypeAlias = Literal["auto", "first", "stratified"]


@dataclass(frozen=True)
class Request:
    """What a run is to be; see `epsball.audit` for each."""

    settings: tuple[AttackSetting, ...]
    limit: int | None = None
    sample: Sample = "auto"
    seed: int = 0
    precision: RequestedPrecision = "float32"
    full_budget: bool = True
    through: str | None = None
    micro_batch: int | None = None
    budget: float | None = None
    gate: Gate | None = None
    command: str = ""
    control: Control | None = None
