"""Two runs on the same images, image by image: is the difference more than chance? No torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from epsball.errors import InvalidInput
from epsball.evaluation.metrics.grouping import rate
from epsball.evaluation.metrics.statistics import holm, mcnemar
from epsball.evaluation.records.schema import read_manifest, read_records, read_summary
from epsball.types import Finding

_KEY = ["variant", "norm", "eps"]


def compare(a: Path, b: Path) -> dict[str, Any]:
    """Compare two runs on the same images, clean and under every attack that both have.

    Args:
        a: directory of the first run.
        b: directory of the second run.

    Returns:
        `rows`: accuracy of both with intervals, the images that only one gets right, and the exact
        McNemar p-value; `per_class`: the same class by class, with Holm's correction over the
        classes of one attack and eps; `n`: the images; `a` and `b`: name and directory.

    Raises:
        InvalidInput: no run, other images, no attack in common, or a run with a blocking finding.
    """
    manifests = [read_manifest(run) for run in (a, b)]
    for run in (a, b):
        _refuse_blocked(run)
    _refuse_other_settings(*manifests)
    frames = [read_records(run) for run in (a, b)]
    both = _paired(*frames)
    same = manifests[0]["data"]["sha256"] == manifests[1]["data"]["sha256"]
    if (
        not same
        or len(both) == 0
        or len(both) < len(frames[0].join(frames[1], on=_KEY, how="semi"))
    ):
        raise InvalidInput(
            f"{a} and {b} cannot be compared: they need the same images and at least one attack, "
            f"norm and eps in common; they have {_described(manifests[0])} and "
            f"{_described(manifests[1])}"
        )
    names = manifests[0]["data"]["class_names"]
    return {
        "a": {"name": manifests[0]["model"]["name"], "dir": str(a)},
        "b": {"name": manifests[1]["model"]["name"], "dir": str(b)},
        "n": both["index"].n_unique(),
        "rows": [key | _row(part) for key, part in _settings(both)],
        "per_class": [row for key, part in _settings(both) for row in _per_class(key, part, names)],
    }


def _refuse_blocked(run: Path) -> None:
    findings = [Finding(**one) for one in read_summary(run)["findings"]]
    blocking = [one.code for one in findings if one.severity == "blocking"]
    if blocking:
        raise InvalidInput(
            f"{run} has a blocking finding ({blocking[0]}): mend it and audit again first"
        )


def _refuse_other_settings(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Attacks of one name must be the same attack."""
    others = {attack["variant"]: attack for attack in b["attacks"]}
    for attack in a["attacks"]:
        other = others.get(attack["variant"], attack)
        settings = [entry["knobs"] | {"restarts": entry["restarts"]} for entry in (attack, other)]
        differing = [key for key in settings[0] if settings[0][key] != settings[1].get(key)]
        if differing:
            first, second = (entry.get(differing[0]) for entry in settings)
            raise InvalidInput(
                f"the runs cannot be compared: {attack['variant']} has {differing[0]} {first} in "
                f"one and {second} in the other; audit one of them again"
            )


def _described(manifest: dict[str, Any]) -> str:
    variants = ", ".join(attack["variant"] for attack in manifest["attacks"])
    return f"{manifest['data']['n']} images of {manifest['data']['spec']} under {variants}"


def _paired(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Lay both runs' verdicts side by side, the clean pass as an attack of eps 0."""
    columns = ["index", "label", *_KEY]
    right = pl.col("clean_prediction") == pl.col("label")

    def verdicts(frame: pl.DataFrame, name: str) -> pl.DataFrame:
        clean = frame.unique("index", keep="first", maintain_order=True).with_columns(
            variant=pl.lit("clean"), norm=pl.lit(""), eps=pl.lit(0.0), safe=right
        )
        names = [*columns, "safe"]
        return pl.concat([clean.select(names), frame.select(names)]).rename({"safe": name})

    joined = verdicts(a, "right_a").join(
        verdicts(b, "right_b"), on=columns, how="inner", maintain_order="left"
    )
    return joined if joined["variant"].n_unique() > 1 else joined.clear()


def _settings(both: pl.DataFrame) -> Iterator[tuple[dict[str, Any], pl.DataFrame]]:
    for key, part in both.group_by(_KEY, maintain_order=True):
        yield dict(zip(_KEY, key, strict=True)), part


def _row(part: pl.DataFrame) -> dict[str, Any]:
    (accuracy_a, ci_a), (accuracy_b, ci_b) = rate(part["right_a"]), rate(part["right_b"])
    only_a = int((part["right_a"] & ~part["right_b"]).sum())
    only_b = int((~part["right_a"] & part["right_b"]).sum())
    return {
        "accuracy_a": accuracy_a,
        "ci_a": ci_a,
        "accuracy_b": accuracy_b,
        "ci_b": ci_b,
        "only_a_right": only_a,
        "only_b_right": only_b,
        "p_value": mcnemar(only_a, only_b),
    }


def _per_class(key: dict[str, Any], part: pl.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    rows = []
    for (label,), images in part.sort("label").group_by("label", maintain_order=True):
        row = _row(images)
        rates = {name: row[name] for name in ("accuracy_a", "accuracy_b", "p_value")}
        number = int(str(label))
        rows.append(key | {"class": number, "name": names[number], "n": len(images)} | rates)
    corrected = holm([row["p_value"] for row in rows])
    return [row | {"p_holm": p} for row, p in zip(rows, corrected, strict=True)]
