"""The verdict on each claim of study `substitute`. Imports no torch."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from epsball.studies.claims.estimates import Estimate, difference, over_seeds
from epsball.studies.claims.table import (
    Claim,
    Verdict,
    complete,
    judge_finding,
    judge_value,
    load_claims,
    not_run,
)
from epsball.studies.core.notes import read_notes
from epsball.studies.substitute.plan import NAME, ORACLES, QUERIES

NOTES = read_notes("epsball.studies.substitute")
SOURCE = "jacobian"  # the questions of the source, which its claims are about
# what stands in for the remote platforms of 2016
STAND_INS = {"metamind": "dnn", "amazon": "lr", "google": "svm"}


def asked_as(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows in which every one names its questions; those of the source's do not."""
    if "questions" not in rows.columns:
        return rows.with_columns(questions=pl.lit(SOURCE))
    return rows.with_columns(pl.col("questions").fill_null(SOURCE))


@dataclass(frozen=True)
class Shares:
    """The rows of all substitutes.

    Args:
        rows: of the study.
    """

    rows: pl.DataFrame

    def at(
        self, oracle: str, queries: int, how: str = "substitute", questions: str = SOURCE
    ) -> list[dict[str, Any]]:
        """Return the rows of an oracle, a number of queries and an attack, one a seed."""
        if "how" not in self.rows.columns:
            return []
        part = asked_as(self.rows).filter(
            (pl.col("mode") == "fooled")
            & (pl.col("oracle") == oracle)
            & (pl.col("queries") == queries)
            & (pl.col("how") == how)
            & (pl.col("questions") == questions)
        )
        return part.sort("repeat").to_dicts()

    def raw(
        self, oracle: str, queries: int, how: str = "substitute", questions: str = SOURCE
    ) -> Estimate | None:
        """Return the share of all images that the oracle misclassifies."""
        rows = self.at(oracle, queries, how, questions)
        return over_seeds([r["wrong"] / r["n"] for r in rows], rows[0]["n"]) if rows else None

    def corrected(
        self, oracle: str, queries: int, how: str = "substitute", questions: str = SOURCE
    ) -> Estimate | None:
        """Return the share of the images it gets right when clean that it misclassifies."""
        rows = [row for row in self.at(oracle, queries, how, questions) if row["clean_right"]]
        if not rows:
            return None
        shares = [row["fooled"] / row["clean_right"] for row in rows]
        return over_seeds(shares, rows[0]["clean_right"])


def judge(shares: Shares) -> list[Verdict]:
    """Judge every claim; one verdict a claim, in the order of the list.

    Args:
        shares: of the study.
    """
    return complete(NAME, [_one(claim, shares) for claim in load_claims(NAME)])


def _one(claim: Claim, shares: Shares) -> Verdict:
    if claim.kind != "value":
        return _queries(claim, shares)
    platform = claim.id.partition(".")[2]
    oracle = STAND_INS[platform]
    share = shares.raw(oracle, int(claim.setting["queries"]))
    if share is None:
        return not_run(claim, NOTES.text("reason-missing"))
    stands = NOTES.text("reason-stand-in", oracle=oracle)
    return judge_value(claim, share, differs=(stands,))


def _queries(claim: Claim, shares: Shares) -> Verdict:
    """Judge whether the network is fooled less than the others after the fewest queries."""
    rows = {oracle: shares.at(oracle, QUERIES[0]) for oracle in ORACLES}
    if not all(rows.values()):
        return not_run(claim, NOTES.text("reason-missing"))
    values = {
        name: [r["fooled"] / max(1, r["clean_right"]) for r in part] for name, part in rows.items()
    }
    other = min((name for name in ORACLES if name != "dnn"), key=lambda name: sum(values[name]))
    apart = difference(values[other], values["dnn"], rows["dnn"][0]["clean_right"])
    note = NOTES.text(
        "reason-queries",
        queries=QUERIES[0],
        other=other,
        share=sum(values[other]) / len(values[other]),
        dnn=sum(values["dnn"]) / len(values["dnn"]),
    )
    return judge_finding(claim, apart, holds=apart.value > 0, note=note)
