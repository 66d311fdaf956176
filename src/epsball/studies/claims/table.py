"""What the sources report, and what came out here. Imports no torch."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from epsball.errors import BrokenContract
from epsball.studies.claims.estimates import Estimate

Word = Literal["match", "differs", "holds", "refuted", "undecided", "not run"]
NEAR = 0.02  # of a share: what counts as the source's value
NEAR_LOSS = 0.1  # of a loss, relative
_SAID = {"seeds": "Student t over {} seeds", "images": "Wilson over the images, one seed"}


@dataclass(frozen=True)
class Claim:
    """One number or finding of a source document.

    Args:
        id: its name.
        study: the study that judges it.
        kind: "value" (a number), "ordering" (a comparison), "statement" (words).
        text: the claim in words.
        setting: under which parameters; may be empty.
        value: the number; None where there is none.
        unit: "fraction", "count" or "nats" (a loss); None where there is no number.
        note: what is known to be wrong or ambiguous about it.
    """

    id: str
    study: str
    kind: Literal["value", "ordering", "statement"]
    text: str
    setting: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None
    unit: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What came out for a claim.

    Args:
        id: the claim's name.
        verdict: a value's "match" or "differs"; a finding's "holds" or "refuted"; "undecided" where
            it was measured in a setting that cannot decide; "not run" where it was not measured.
        value: what was measured: the number, or of an ordering the difference that decides.
        interval: 95 %, of value.
        interval_kind: what the interval is over, in words.
        seeds: repetitions behind it; 0 where it was not run.
        same_setting: whether it was measured under the source's conditions.
        differs: departures from the source; parameters it leaves unstated are not counted.
        note: one line of why.
    """

    id: str
    verdict: Word
    value: float | None
    interval: tuple[float, float] | None
    interval_kind: str | None
    seeds: int
    same_setting: bool
    differs: tuple[str, ...]
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data, in the form summary.json holds."""
        return asdict(self)


@cache
def load_claims(study: str) -> tuple[Claim, ...]:
    """Return a study's claims, in the order of the list.

    Args:
        study: its name.

    Example:
        >>> load_claims("red-blue")[0].value
        0.975
    """
    text = files("epsball.studies.claims").joinpath("claims.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)["claim"]
    return tuple(Claim(**entry) for entry in entries if entry["study"] == study)


def is_near(claim: Claim, measured: Estimate) -> bool:
    """Say whether a measured value is the source's.

    Args:
        claim: of kind "value".
        measured: what was measured.

    Returns:
        For a share: the source's value lies in our interval or within 0.02 of our value; for a
        loss (nats) in it or within 10 % of the source's; for a count: equal.
    """
    if claim.value is None:
        raise BrokenContract(f"claim {claim.id} is of kind value and has none")
    if claim.unit == "count":
        return measured.value == claim.value
    near = NEAR_LOSS * abs(claim.value) if claim.unit == "nats" else NEAR
    return measured.holds(claim.value) or abs(measured.value - claim.value) <= near + 1e-12


def judge_value(
    claim: Claim, measured: Estimate, *, differs: Sequence[str] = (), note: str = ""
) -> Verdict:
    """Judge a number.

    Args:
        claim: of kind "value".
        measured: what was measured.
        differs: what is not as in the source. Where anything is, the claim is "undecided", and what
            was measured stands beside it: a number belongs to its setting, and another one can
            neither match nor refute it.
        note: added to the line of why.
    """
    agrees = is_near(claim, measured) and not differs
    why = f"the source has {claim.value:g}, here {measured.value:.4g}"
    return _verdict(
        ("match", "differs"),
        claim.id,
        measured,
        agrees=agrees,
        differs=differs,
        note=_joined(why, note),
    )


def judge_finding(
    claim: Claim,
    measured: Estimate,
    *,
    holds: bool,
    note: str,
    differs: Sequence[str] = (),
    beside: Sequence[str] = (),
) -> Verdict:
    """Judge an ordering or a statement.

    Args:
        claim: of kind "ordering" or "statement".
        measured: the number that decides, a difference for an ordering.
        holds: whether the claim holds here.
        note: why, in one line.
        differs: what is not as in the source. Where anything is, a finding that holds does so with
            `same_setting` false, and one that does not is "undecided": another model or data
            set cannot refute.
        beside: what else is not as in the source, and is of no such weight: it is said with the
            verdict, which stays.
    """
    if measured.kind == "seeds" and measured.low <= 0 <= measured.high and claim.kind == "ordering":
        note = _joined(note, "the deciding difference is within the spread of the seeds")
    words: tuple[Word, Word] = ("holds", "refuted")
    return _verdict(
        words, claim.id, measured, agrees=holds, differs=differs, beside=beside, note=note
    )


def not_run(claim: Claim, why: str) -> Verdict:
    """Say that a claim was not judged, and why."""
    return Verdict(
        claim.id,
        "not run",
        value=None,
        interval=None,
        interval_kind=None,
        seeds=0,
        same_setting=False,
        differs=(),
        note=why,
    )


def complete(study: str, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return one verdict for each claim of a study, in the order of the list.

    Args:
        study: its name.
        verdicts: those that were reached; a claim without one is "not run".

    Raises:
        BrokenContract: a verdict of no claim of the study, or two of one.
    """
    claims = load_claims(study)
    by_id = {verdict.id: verdict for verdict in verdicts}
    unknown = by_id.keys() - {claim.id for claim in claims}
    if unknown or len(by_id) < len(verdicts):
        raise BrokenContract(f"study {study}: verdicts repeated, or of no claim: {sorted(unknown)}")
    return [by_id.get(claim.id) or not_run(claim, "nothing measured it") for claim in claims]


def _verdict(
    words: tuple[Word, Word],
    name: str,
    measured: Estimate,
    *,
    agrees: bool,
    differs: Sequence[str],
    note: str,
    beside: Sequence[str] = (),
) -> Verdict:
    word = words[0] if agrees else words[1]
    if differs and not agrees:
        word = "undecided"
    other = (*differs, *beside)
    return Verdict(
        name,
        word,
        measured.value,
        measured.interval,
        _SAID[measured.kind].format(measured.seeds),
        measured.seeds,
        same_setting=not other,
        differs=other,
        note=note,
    )


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))
