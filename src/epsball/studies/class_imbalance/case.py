"""The results and departures on which claims of study `class-imbalance` are judged. No torch."""

from dataclasses import dataclass, replace
from statistics import fmean

from epsball.studies.claims.estimates import Estimate, over_seeds
from epsball.studies.claims.table import (
    Claim,
    Verdict,
    judge_finding,
    judge_value,
    not_run,
)
from epsball.studies.class_imbalance.measured import Measured
from epsball.studies.class_imbalance.paired import Probes
from epsball.studies.core.notes import read_notes

NOTES = read_notes("epsball.studies.class_imbalance")
MISSING = NOTES.text("missing")


@dataclass(frozen=True)
class Case:
    """What claims are judged on.

    Args:
        measured: the rows of the source's part.
        probes: what the deeper attacks say, image by image.
        differs: what is not as in the source, so that a number decides nothing.
        beside: what is not as in the source, and is printed beside a verdict.
    """

    measured: Measured
    probes: Probes
    differs: tuple[str, ...]
    beside: tuple[str, ...]

    def value(self, claim: Claim, estimate: Estimate | None, note: str = "") -> Verdict:
        """Judge a number."""
        if estimate is None:
            return not_run(claim, MISSING)
        verdict = judge_value(claim, estimate, differs=self.differs, note=note or claim.note or "")
        every = (*self.differs, *self.beside)
        return replace(verdict, same_setting=not every, differs=every)

    def finding(self, claim: Claim, estimate: Estimate, *, holds: bool, note: str) -> Verdict:
        """Judge a finding."""
        return judge_finding(
            claim, estimate, holds=holds, note=note, differs=self.differs, beside=self.beside
        )


def relative_difference(measured: Measured, kind: str) -> Estimate | None:
    """Return the mean relative difference over all classes; None unless all were measured."""
    by_class = [measured.relative_differences(kind, name) for name in measured.class_names]
    seeds = min((len(values) for values in by_class), default=0)
    if not seeds:
        return None
    means = [fmean(values[i] for values in by_class) for i in range(seeds)]
    images = sum(measured.records(kind, name)[0]["n"] for name in measured.class_names)
    return over_seeds([min(1.0, max(0.0, mean)) for mean in means], images)
