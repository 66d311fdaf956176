"""How a run computes: chosen once, written to its manifest and used again on resume."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from epsball.types import Precision


class EngineConfig(BaseModel):
    """Device, precision and sizes of a run.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps".
        precision: of the search; verdicts are always float32.
        micro_batch: images a forward pass.
        threads: torch's threads on the CPU.
        channels_last: whether images are given to the caller's own model in that memory format.
        full_budget: every image gets every step, adversarial or misclassified already. Otherwise
            only verdicts are sought, and an image leaves the attack as soon as it is adversarial.
        shard: images that are attacked, recorded and written together.
        first: images of the first shard where shards grow, with a time budget; None: all are alike.
        probe: images for the checks, at most.
        through: the transformation that attacked images are judged after as well, as
            `evaluation/records/through.py` names it; None: none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    precision: Precision = "float32"
    micro_batch: int
    threads: int
    channels_last: bool = False
    full_budget: bool = True
    shard: int = 1024
    first: int | None = None
    probe: int = 64
    through: str | None = None

    def changed(self, **update: Any) -> Self:  # noqa: ANN401 - fields of this class
        """Return a copy in which some fields differ."""
        return self.model_copy(update=update)
