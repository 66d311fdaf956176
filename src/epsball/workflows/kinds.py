"""The kinds of adversarial image and the goals of an attacker, read off the records of a run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from epsball.errors import InvalidInput
from epsball.evaluation.records.schema import read_manifest, read_records
from epsball.files import write_atomically
from epsball.kinds.goals import GoalRate, goal_rates, source_to_target
from epsball.kinds.labelling import kind_shares, label_records
from epsball.kinds.relatives import related_by

KINDS_TABLE, MATRIX = "kinds.parquet", "source-to-target.csv"
GROUP = ["variant", "norm", "eps"]
_IMAGENET = 1000  # classes


@dataclass(frozen=True)
class Labelled:
    """What the records of a run say.

    Args:
        shares: for each attack, eps and kind: count, and share of the fooled images.
        goals: for each attack and eps the rates of all goals.
        related: how closely related classes were found: "wordnet", "confusion" or a file.
        files: what was written.
    """

    shares: pl.DataFrame
    goals: dict[tuple[str, str, float], list[GoalRate]]
    related: str
    files: tuple[Path, Path]


def label_kinds(run: Path, *, hierarchy: str = "auto") -> Labelled:
    """Label every record of a run with its kind of mistake, and measure the goals of an attacker.

    Writes `kinds.parquet`, a row for each record: index, label, attack, eps, both predictions and
    the kind; and `source-to-target.csv`, how many right images of each class become which other.

    Args:
        run: directory of a finished audit.
        hierarchy: which classes are closely related: "wordnet", "confusion" or a hierarchy file;
            "auto": WordNet for 1,000 classes, else what the model confuses when clean.

    Raises:
        InvalidInput: no finished run, or a bad hierarchy.
    """
    manifest, records = read_manifest(run), read_records(run)
    if not len(records):
        raise InvalidInput(f"kinds: {run} holds no records: finish the audit first")
    names = [str(name) for name in manifest["data"]["class_names"]]
    source = hierarchy
    if source == "auto":
        source = "wordnet" if len(names) == _IMAGENET else "confusion"
    once = records.unique("index", keep="first", maintain_order=True)
    labels, clean = once["label"].to_numpy(), once["clean_prediction"].to_numpy()
    inside = clean < len(names)  # a rejection confuses nothing
    related = related_by(source, names, labels[inside], clean[inside])
    labelled = label_records(records, related)
    goals = {
        (str(variant), str(norm), float(str(eps))): goal_rates(part, len(names))
        for (variant, norm, eps), part in labelled.partition_by(
            GROUP, as_dict=True, maintain_order=True
        ).items()
    }
    columns = ["index", "label", *GROUP, "clean_prediction", "prediction", "kind"]
    files = run / KINDS_TABLE, run / MATRIX
    write_atomically(files[0], labelled.select(columns).write_parquet)
    write_atomically(files[1], _matrix(labelled, names).write_csv)
    return Labelled(kind_shares(labelled, GROUP), goals, source, files)


def _matrix(labelled: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Return one row for each attack, eps and pair of classes that occurs."""
    rows = []
    right = labelled.filter(pl.col("clean_prediction") == pl.col("label"))
    for key, part in right.partition_by(GROUP, as_dict=True, maintain_order=True).items():
        counts = source_to_target(
            part["label"].to_numpy(), part["prediction"].to_numpy(), len(names)
        )
        rows += [
            dict(zip(GROUP, key, strict=True))
            | {"source": names[s], "target": names[t], "images": int(counts[s, t])}
            for s, t in np.argwhere(counts > 0).tolist()
        ]
    return pl.DataFrame(rows)
