"""Victims of scikit-learn, saved by skops and attacked by the command `epsball audit`.

Each estimator is fitted on MNIST as its users fit it: rows of images / 255 in float64, or in
float32, or levels from 0 to 255. Its file is audited by the command, and two things are compared
with the estimator itself: clean accuracy on the same images, and predict() on every image that the
command reports as fooled, as it is saved and after rounding to 8 bits.

    python -m benchmarks.sklearn_victims --out DIR [--page FILE] [--only NAME ...]

Finished lines are kept in DIR/lines.jsonl; a run that was stopped goes on where it stopped.
"""

import argparse
import json
import shlex
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import skops.io
from numpy.typing import NDArray
from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from epsball.cli.app import app
from epsball.data import load_data
from epsball.errors import EpsballError

FITTED, AUDITED, EPS, QUERIES = 2000, 50, 0.1, 300


def tree() -> Any:  # noqa: ANN401 - untyped package
    """Return a decision tree."""
    return DecisionTreeClassifier(random_state=0)


def logistic() -> Any:  # noqa: ANN401 - untyped package
    """Return logistic regression."""
    return linear_model.LogisticRegression(max_iter=200)


def histogram() -> Any:  # noqa: ANN401 - untyped package
    """Return histogram gradient boosting."""
    return ensemble.HistGradientBoostingClassifier(max_iter=5)


def forest() -> Any:  # noqa: ANN401 - untyped package
    """Return a random forest."""
    return ensemble.RandomForestClassifier(20, random_state=0)


@dataclass(frozen=True)
class Victim:
    """An estimator and how it is fitted.

    Args:
        build: the estimator.
        rows: "float64", "float32" or "levels" (uint8, 0 to 255).
        relabel: labels 0 to 9 to the labels it is fitted on.
        kept: labels to the images it is fitted on.
        options: of the command.
    """

    build: Callable[[], Any]
    rows: str = "float64"
    relabel: Callable[[NDArray[np.int64]], NDArray[Any]] = lambda labels: labels
    kept: Callable[[NDArray[np.int64]], NDArray[np.bool_]] = lambda labels: labels >= 0
    options: str = ""


def voters() -> list[tuple[str, Any]]:
    """Return the members of an ensemble."""
    return [("a", logistic()), ("b", tree()), ("c", neighbors.KNeighborsClassifier(3))]


VICTIMS: dict[str, Victim] = {
    "LogisticRegression": Victim(logistic),
    "LogisticRegression, float32": Victim(logistic, "float32"),
    "SVC linear": Victim(lambda: svm.SVC(kernel="linear")),
    "SVC RBF": Victim(lambda: svm.SVC(C=5)),
    "SVC poly": Victim(lambda: svm.SVC(kernel="poly")),
    "SVC, break_ties": Victim(lambda: svm.SVC(break_ties=True)),
    "NuSVC": Victim(lambda: svm.NuSVC(nu=0.1)),
    "LinearSVC": Victim(svm.LinearSVC),
    "SGDClassifier": Victim(lambda: linear_model.SGDClassifier(random_state=0)),
    "RidgeClassifier": Victim(linear_model.RidgeClassifier),
    "MLPClassifier": Victim(lambda: neural_network.MLPClassifier((50,), random_state=0)),
    "DecisionTree": Victim(tree),
    "DecisionTree, l2": Victim(tree, options="--attack boxes --norm l2 --eps 0.5"),
    "ExtraTrees": Victim(lambda: ensemble.ExtraTreesClassifier(20, random_state=0)),
    "RandomForest": Victim(forest),
    "HistGradientBoosting": Victim(histogram),
    "HistGradientBoosting, float32": Victim(histogram, "float32"),
    "GradientBoosting": Victim(
        lambda: ensemble.GradientBoostingClassifier(n_estimators=5, max_features=50, random_state=0)
    ),
    "AdaBoost": Victim(lambda: ensemble.AdaBoostClassifier(n_estimators=10, random_state=0)),
    "Bagging": Victim(lambda: ensemble.BaggingClassifier(n_estimators=5, random_state=0)),
    "KNeighbors": Victim(lambda: neighbors.KNeighborsClassifier(5)),
    "KNeighbors, weights by distance": Victim(
        lambda: neighbors.KNeighborsClassifier(5, weights="distance")
    ),
    "KNeighbors, manhattan": Victim(
        lambda: neighbors.KNeighborsClassifier(5, metric="manhattan"), options="--limit 10"
    ),
    "KNeighbors, ball tree": Victim(
        lambda: neighbors.KNeighborsClassifier(5, algorithm="ball_tree")
    ),
    "NearestCentroid": Victim(neighbors.NearestCentroid),
    "GaussianNB": Victim(lambda: naive_bayes.GaussianNB(var_smoothing=1e-2)),
    "BernoulliNB": Victim(lambda: naive_bayes.BernoulliNB(binarize=0.5)),
    "LinearDiscriminantAnalysis": Victim(LinearDiscriminantAnalysis),
    "CalibratedClassifierCV": Victim(lambda: CalibratedClassifierCV(svm.LinearSVC(), cv=2)),
    "VotingClassifier": Victim(lambda: ensemble.VotingClassifier(voters())),
    "VotingClassifier, soft": Victim(lambda: ensemble.VotingClassifier(voters(), voting="soft")),
    "StackingClassifier": Victim(
        lambda: ensemble.StackingClassifier([("a", svm.LinearSVC()), ("b", tree())], cv=2)
    ),
    "OneVsRest": Victim(lambda: OneVsRestClassifier(svm.LinearSVC())),
    "OneVsOne": Victim(lambda: OneVsOneClassifier(svm.LinearSVC())),
    "StandardScaler, SVC": Victim(lambda: make_pipeline(StandardScaler(), svm.SVC())),
    "MinMaxScaler, LogisticRegression": Victim(lambda: make_pipeline(MinMaxScaler(), logistic())),
    "StandardScaler, DecisionTree": Victim(lambda: make_pipeline(StandardScaler(), tree())),
    "StandardScaler, DecisionTree, float32": Victim(
        lambda: make_pipeline(StandardScaler(), tree()), "float32"
    ),
    "StandardScaler, RandomForest": Victim(lambda: make_pipeline(StandardScaler(), forest())),
    "StandardScaler, HistGradientBoosting": Victim(
        lambda: make_pipeline(StandardScaler(), histogram())
    ),
    "StandardScaler, KNeighbors": Victim(
        lambda: make_pipeline(StandardScaler(), neighbors.KNeighborsClassifier(5))
    ),
    "PCA, KNeighbors": Victim(lambda: make_pipeline(PCA(50), neighbors.KNeighborsClassifier(5))),
    "PCA, SVC": Victim(lambda: make_pipeline(PCA(50), svm.SVC())),
    "square root, LogisticRegression": Victim(
        lambda: make_pipeline(FunctionTransformer(np.sqrt), logistic())
    ),
    "levels: MinMaxScaler, SVC": Victim(
        lambda: make_pipeline(MinMaxScaler(), svm.SVC()), "levels", options="--input-range 255"
    ),
    "levels: DecisionTree": Victim(tree, "levels", options="--input-range 255"),
    "levels: StandardScaler, DecisionTree": Victim(
        lambda: make_pipeline(StandardScaler(), tree()), "levels", options="--input-range 255"
    ),
    "levels: HistGradientBoosting": Victim(histogram, "levels", options="--input-range 255"),
    "levels, --input-range left out": Victim(forest, "levels"),
    "odd or even": Victim(lambda: svm.SVC(), relabel=lambda labels: labels % 2),
    "zero or one": Victim(logistic, kept=lambda labels: labels < 2),
    "threshold 0.2, odd or even": Victim(
        lambda: FixedThresholdClassifier(logistic(), threshold=0.2),
        relabel=lambda labels: labels % 2,
    ),
    "labels from 1": Victim(logistic, relabel=lambda labels: labels + 1),
    "labels that are words": Victim(
        logistic, relabel=lambda labels: np.array(list("abcdefghij"))[labels]
    ),
    "no image of class 3": Victim(logistic, kept=lambda labels: labels != 3),
    "no image of class 9": Victim(logistic, kept=lambda labels: labels != 9),
}


def main() -> None:
    """Fit, save, audit and compare; write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--only", nargs="*", default=list(VICTIMS))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")  # of solvers that have not converged
    file = given.out / "lines.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    known = {line["victim"] for line in lines}
    for name in given.only:
        if name in known:
            continue
        line = {"victim": name} | examined(name, VICTIMS[name], given.out)
        lines.append(line)
        with file.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        print(line, flush=True)
    if given.page:
        given.page.write_text(page(lines))


def images_of(split: str, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return levels (n, 784) and labels (n,) of MNIST's first images."""
    data = load_data("mnist", split=split)
    images = np.asarray(data.read(np.arange(count)))
    return images.reshape(count, -1), data.labels[:count]


def in_kind(levels: NDArray[Any], rows: str) -> NDArray[Any]:
    """Return levels, which need not be whole numbers, as rows for an estimator."""
    if rows == "levels":
        return levels
    return levels / 255 if rows == "float64" else (levels / 255).astype(np.float32)


def examined(name: str, victim: Victim, out: Path) -> dict[str, Any]:
    """Fit a victim, audit its file by command, and compare with its own predict()."""
    levels, labels = images_of("train", FITTED)
    kept = victim.kept(labels)
    rows = in_kind(levels[kept], victim.rows)
    estimator = victim.build().fit(rows, victim.relabel(labels[kept]))
    place = out / "".join(one if one.isalnum() else "-" for one in name)
    place.mkdir(exist_ok=True)
    skops.io.dump(estimator, place / "model.skops")
    data = written_data(victim, place)
    options = shlex.split(victim.options)
    defaults = {"--eps": str(EPS), "--limit": str(AUDITED), "--queries": str(QUERIES)}
    for option, value in defaults.items():
        options += [] if option in options else [option, value]
    run = place / "run"
    arguments = ["audit", f"sklearn:{place / 'model.skops'}", "--data", data, *options]
    try:
        app([*arguments, "--out", str(run)], standalone_mode=False)
    except EpsballError as error:
        return {"refused": str(error).replace(str(place / "model.skops"), "FILE")}
    summary = json.loads((run / "summary.json").read_text())
    blocking = [one for one in summary["findings"] if one["severity"] == "blocking"]
    if blocking:
        return {"refused": f"{blocking[0]['message']}; {blocking[0]['remedy']}"}
    return compared(estimator, victim, run, data) | {"options": victim.options}


def written_data(victim: Victim, place: Path) -> str:
    """Return the data of the command: MNIST, or a file where the victim has other labels."""
    levels, labels = images_of("test", 4 * AUDITED)
    kept = victim.kept(labels)
    relabelled = victim.relabel(labels)
    if relabelled.dtype.kind not in "iu" or (relabelled.max() > 1 and kept.mean() > 1 / 2):
        return "mnist"
    images = levels[kept].reshape(-1, 1, 28, 28)
    np.savez(place / "data.npz", images=images, labels=relabelled[kept])
    return f"npz:{place / 'data.npz'}"


def compared(estimator: Any, victim: Victim, run: Path, data: str) -> dict[str, Any]:  # noqa: ANN401 - untyped package
    """Return rates of a run, and what the estimator says of its images."""
    summary = json.loads((run / "summary.json").read_text())
    results = summary["results"]
    levels, labels = audited(data, results[0]["n"])
    own = estimator.predict(in_kind(levels, victim.rows))
    counts = [confirmed(estimator, victim, file) for file in sorted(run.glob("images/*.npz"))]
    fooled, of_these, in_8_bits = (sum(column) for column in zip(*counts, strict=True))
    return {
        "clean": results[0]["clean_accuracy"],
        "own": float((own == labels).mean()),
        "robust": {one["variant"]: one["robust_accuracy"] for one in results},
        "norm": results[0]["norm"],
        "eps": results[0]["eps"],
        "images": results[0]["n"],
        "fooled": fooled,
        "confirmed": of_these,
        "in 8 bits": in_8_bits,
    }


def audited(data: str, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the first levels (n, 784) and labels (n,) of the data of a command."""
    if data == "mnist":
        return images_of("test", count)
    stored = np.load(data.removeprefix("npz:"))
    return stored["images"].reshape(-1, 784)[:count], stored["labels"][:count]


def confirmed(estimator: Any, victim: Victim, file: Path) -> tuple[int, int, int]:  # noqa: ANN401 - untyped package
    """Count saved images that were fooled, that predict() confirms, and that it does in 8 bits."""
    saved = np.load(file)
    records = pl.read_parquet(file.parents[1] / "records" / f"{file.stem}.parquet")
    last = records.filter((pl.col("eps") == pl.col("eps").max()) & ~pl.col("safe"))
    rows = np.isin(saved["positions"], last["index"].to_numpy())
    labels, shown = saved["labels"][rows], saved["adversarial"][-1][rows]
    if not len(labels):
        return 0, 0, 0
    shown = shown.reshape(len(labels), -1)
    rounded = np.rint(shown.astype(np.float64) * 255)
    # what is k / 255 in float32 is the level k
    on_grid = (rounded / 255).astype(np.float32) == shown
    exact = np.where(on_grid, rounded, shown.astype(np.float64) * 255)
    wrong = [
        int((estimator.predict(in_kind(one, victim.rows)) != labels).sum())
        for one in (exact, rounded)
    ]
    return len(labels), wrong[0], wrong[1]


def page(lines: list[dict[str, Any]]) -> str:
    """Return the page."""
    taken = [line for line in lines if "refused" not in line]
    equal = sum(line["clean"] == line["own"] for line in taken)
    fooled, right, eight = (
        sum(line[key] for line in taken) for key in ("fooled", "confirmed", "in 8 bits")
    )
    body = [
        "# Victims of scikit-learn",
        "",
        f"{len(lines)} victims are saved by skops and audited by the command; {len(taken)} are "
        f"taken and {len(lines) - len(taken)} refused with a remedy. Of those taken, "
        f"{equal} have exactly the clean accuracy of the estimator's own predict() on the same "
        f"images. The runs keep {fooled} fooled images; predict() confirms {right} of them as they "
        f"are saved, and {eight} after rounding to 8 bits.",
        "",
        "Made by `python -m benchmarks.sklearn_victims --out DIR --page docs/results/sklearn.md` "
        f"with scikit-learn {version('scikit-learn')} and skops {version('skops')}. Each estimator "
        f"is fitted on the first {FITTED:,} training images of MNIST (its accuracy is that of so "
        "few), as images / 255 in float64 unless the name says otherwise, and its file is audited "
        f"by `epsball audit sklearn:FILE --data mnist --eps {EPS} --limit {AUDITED} --queries "
        f"{QUERIES}` and the options of the table; without --attack the command takes what the "
        "victim allows. The last column counts the fooled images that a run keeps (up to ten for "
        "each attack), those that predict() confirms, and those that it confirms in 8 bits: some "
        "images lie so near to a border that rounding brings them back.",
        "",
        "Images are flattened in the order channels, rows, columns. For an estimator that was "
        "fitted on colour images in the order rows, columns, channels add `--layout nhwc`.",
        "",
        "| victim | options | clean | robust accuracy, at most | fooled, confirmed, in 8 bits |",
        "| --- | --- | --- | --- | --- |",
    ]
    body += [_line(line) for line in taken]
    body += ["", "## Refused", "", "| victim | the command says |", "| --- | --- |"]
    body += [f"| {line['victim']} | {line['refused']} |" for line in lines if "refused" in line]
    return "\n".join(body) + "\n"


def _line(line: dict[str, Any]) -> str:
    rates = ", ".join(f"{attack} {rate:.0%}" for attack, rate in line["robust"].items())
    differs = "" if line["clean"] == line["own"] else f" (own predict(): {line['own']:.1%})"
    options = f"`{line['options']}`" if line["options"] else ""
    counts = f"{line['fooled']}, {line['confirmed']}, {line['in 8 bits']}"
    return f"| {line['victim']} | {options} | {line['clean']:.1%}{differs} | {rates} | {counts} |"


if __name__ == "__main__":
    main()
