"""One measurement: who, with which method, on which case, under which settings."""

import hashlib
import json
from dataclasses import asdict, dataclass

from benchmarks.peers.jobs import Job
from benchmarks.peers.methods import CASES, METHODS, ON_GPU, Case, Method
from benchmarks.peers.subjects import Subject


@dataclass(frozen=True)
class Setup:
    """What all entrants of a comparison share; measurements of another setup do not count.

    Args:
        case: name of the case.
        method: name of the method.
        images: how many images.
        steps: of the method.
        threads: of torch.
        device: where the model is.
        weights: fingerprint of the model.
        code: hash of epsball's own code.
        torch: its version.
    """

    case: str
    method: str
    images: int
    steps: int
    threads: int
    device: str
    weights: str
    code: str
    torch: str

    @property
    def id(self) -> str:
        """Return the name under which its rows are kept."""
        return _hash(asdict(self))

    @property
    def sizing(self) -> str:
        """Return the name under which the best batches are kept, whatever epsball's code."""
        return _hash({key: value for key, value in asdict(self).items() if key != "code"})

    @property
    def of_case(self) -> Case:
        """Return the case itself."""
        return CASES[self.case]

    @property
    def batches(self) -> tuple[int, ...]:
        """Return the sizes worth trying; a GPU is only filled by larger ones."""
        return self.of_case.batches if self.device == "cpu" else ON_GPU

    @property
    def of_method(self) -> Method:
        """Return the method itself."""
        return METHODS[self.method]


def job_of(setup: Setup, subject: Subject, *, batch: int, seed: int = 0) -> Job:
    """Return what an entrant of this setup is handed."""
    method = setup.of_method
    return Job(
        subject.model,
        subject.images[: setup.images],
        subject.labels[: setup.images],
        subject.classes,
        method.norm,
        0.0 if method.kind == "minimal" else subject.eps,
        setup.steps,
        batch,
        setup.device,
        seed,
    )


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
