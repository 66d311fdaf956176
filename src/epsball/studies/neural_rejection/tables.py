"""The tables of study `neural-rejection` about what is left. Imports no torch."""

from collections.abc import Sequence

from epsball.evaluation.metrics.present import interval, percent
from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.story import CellText, TableBlock
from epsball.studies.claims.table import load_claims
from epsball.studies.neural_rejection.measured import (
    CLEAN,
    LIMITED,
    OURS,
    SAID,
    SOURCE,
    Results,
)
from epsball.studies.neural_rejection.subjects import NETS, RUNGS, SUBJECTS, UNCHECKED

DASH = "\N{EN DASH}"
REJECTORS = tuple(name for name, subject in SUBJECTS.items() if subject.defence)
CLIMBED = tuple(name for name, subject in SUBJECTS.items() if subject.climbed)
WHOLE = tuple(name for name, subject in SUBJECTS.items() if subject.whole)
_TRAINED_ON = ("none", "retrained", "dnr", "dnr-retrained", "pgd", "generator")
KNOWING = (
    (LIMITED, "limited knowledge"),
    (SOURCE, "perfect knowledge"),
    (OURS, "our rejection attack"),
)
_METRICS = ("loss", "accuracy")


def base_table(results: Results) -> TableBlock:
    """Set losses and accuracies of networks that saw clean images only beside the source's."""
    rows: list[list[CellText]] = []
    for row in results.of_kind("train").iter_rows(named=True):
        if row.get("taken"):
            continue  # the network above it
        splits = [
            results.one("losses", net=row["net"], repeat=row["repeat"], split=split)
            for split in ("train", "test")
        ]
        if splits == [None, None]:
            continue
        cells: list[CellText] = [_metric(c, row[f"train_{c}"]) for c in _METRICS]
        cells += [_metric(c, one[c]) if one else DASH for one in splits for c in _METRICS]
        lr = row.get("lr") or row.get("train_lr")
        rate = "" if lr is None else f", lr {lr:g}"
        rows.append([f"{NETS[row['net']].words}{rate}", *cells])
    stated = {claim.id.rpartition(".")[2]: claim.value for claim in load_claims("neural-rejection")}
    train, test = ([_metric(c, stated[f"{s}-{c}"]) for c in _METRICS] for s in ("train", "test"))
    if rows:
        rows.append(["the source reports", *train, DASH, DASH, *test])
    heads = (
        "training|#train loss|#train accuracy|#loss, dropout off|#accuracy, dropout off|#test loss|"
        "#test accuracy"
    )
    return TableBlock("Before anybody attacks; while training, dropout is on", heads, rows)


def _metric(column: str, value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:.4f}" if column == "loss" else percent(value, digits=2)


def numbers_table(results: Results) -> TableBlock:
    """Show accuracy and rejection rate of everybody under the source's attack."""
    rows = [_line(results, name, SOURCE, rejected=True) for name in SUBJECTS]
    caption = "The source's attack: accuracy, its 95 % interval, and the share that is rejected"
    return TableBlock(caption, _heads(results, "defence"), _known(rows))


def verdicts_table(results: Results, attack: str) -> TableBlock:
    """Show accuracy under one of our attacks, on images of the first draw."""
    rows = [_line(results, name, attack, draw=0) for name in SUBJECTS]
    rows = [row for row in rows if any(cell != DASH for cell in row[2:])]  # clean alone is none
    words, images = SAID[attack], images_of(results, attack)
    caption = f"{words[:1].upper()}{words[1:]}: accuracy on {images:,} images of the first draw"
    clean = max(
        (results.found.images(results.at(name, CLEAN, 0.0, draw=0)) for name in SUBJECTS),
        default=0,
    )
    if clean != images:
        caption += f" (clean: on {clean:,})"
    return TableBlock(caption, _heads(results, "defence"), rows)


def images_of(results: Results, attack: str) -> int:
    """Return on how many images an attack was judged, at most."""
    places = [results.at(name, attack, eps) for name in SUBJECTS for eps in results.eps]
    return max((results.found.images(place) for place in places), default=0)


def doubts_table(results: Results) -> TableBlock:
    """List what the checks doubted of verdicts under our attacks; an audit judges all eps."""
    rows: list[list[CellText]] = []
    said = dict(SAID) | {f"rung:{rung.name}": rung.title for rung in RUNGS}
    for name, subject in SUBJECTS.items():
        part = results.of_kind("strong", "ladder", subject=name)
        if "checked" in part.columns and len(part.filter(checked=UNCHECKED["checked"])):
            rows.append([subject.words, "all of ours", "not checked: the checks take too long"])
        told = part.drop_nulls("findings") if "findings" in part.columns else part.clear()
        codes = {
            (row["attack"], code): None
            for row in told.iter_rows(named=True)
            for code in row["findings"].split()
        }
        rows += [[subject.words, said.get(attack, attack), code] for attack, code in codes]
    return TableBlock("What the checks doubted", "defence|attack|doubt", rows)


def knowledge_table(results: Results) -> TableBlock:
    """Set perfect beside limited knowledge of each defence, first draw."""
    rows: list[list[CellText]] = []
    for name in (one for one in WHOLE if one in REJECTORS):
        for attack, words in KNOWING:
            cells = [_cell(results, name, attack, eps, draw=0) for eps in results.eps]
            rows.append([f"{SUBJECTS[name].words}, {words}", *cells])
    heads = "|".join(["defence, knowledge", *(f"#eps {eps:g}" for eps in results.eps)])
    return TableBlock("Accuracy by what the attacker knows, first draw", heads, _known(rows))


def ladder_table(results: Results) -> TableBlock:
    """Show every way of attacking at one eps, the lowest accuracy of a column marked."""
    eps = results.middle or 0.0
    found = {
        (rung.name, name): results.estimate(name, f"rung:{rung.name}", eps)
        for rung in RUNGS
        for name in CLIMBED
        if eps
    }
    known = [(key[1], one.value) for key, one in found.items() if one is not None]
    least = {name: min(v for n, v in known if n == name) for name, _ in known}
    rows: list[list[CellText]] = [
        [rung.words, *(_marked(found.get((rung.name, n)), least.get(n)) for n in CLIMBED)]
        for rung in RUNGS
    ]
    heads = "|".join(["attack", *(f"#{SUBJECTS[name].words}" for name in CLIMBED)])
    images = [results.found.images(results.at(n, f"rung:{r}", eps)) for r, n in found]
    caption = f"Accuracy at eps {eps:g} on {max(images, default=0):,} images"
    return TableBlock(caption, heads, _known(rows))


def _marked(found: Estimate | None, least: float | None) -> CellText:
    if found is None:
        return DASH
    cell = (percent(found.value), interval(found.interval))
    return (*cell, "lowest") if found.value == least else cell


def crowd_table(results: Results) -> TableBlock:
    """Show what the density term does to accuracy, and to where the images end up."""
    rungs, eps = [rung for rung in RUNGS if rung.density is not None], results.middle or 0.0
    rows: list[list[CellText]] = []
    for name in CLIMBED:
        cells: list[CellText] = []
        for rung in rungs:
            place = results.at(name, f"rung:{rung.name}", eps, "log_density")
            crowd = results.values(place) if eps else []
            cells += [_cell(results, name, f"rung:{rung.name}", eps)] if eps else [DASH]
            cells.append(f"{crowd[0]:,.3f}" if crowd else DASH)
        rows.append([SUBJECTS[name].words, *cells])
    heads = [
        f"#{c}, weight {rung.density:g}" for rung in rungs for c in ("accuracy", "log-density")
    ]
    caption = "The density term: accuracy, and the mean log-density of the images made"
    return TableBlock(caption, "|".join(["defence", *heads]), _known(rows))


def retraining_table(results: Results, attack: str) -> TableBlock:
    """Set those that were trained on examples beside those that were not, first draw."""
    rows = [_line(results, name, attack, draw=0) for name in _TRAINED_ON]
    if attack != SOURCE:
        rows = [row for row in rows if any(cell != DASH for cell in row[2:])]
    words = SAID[attack]
    caption = f"{words[:1].upper()}{words[1:]}, first draw: trained on examples, and not"
    return TableBlock(caption, _heads(results, "network, defence"), _known(rows))


def harvest_table(results: Results) -> TableBlock:
    """Say how many examples there were to retrain on."""
    rows = [
        [SUBJECTS[row["subject"]].words, f"{row['n']:,}", f"{row['kept']:,}"]
        for row in results.of_kind("harvest").iter_rows(named=True)
    ]
    caption = f"Training images attacked at eps {results.middle or 0:g} for retraining"
    return TableBlock(caption, "attacked|#images|#fooled it, and were kept", rows)


def _line(
    results: Results, name: str, attack: str, *, draw: int | None = None, rejected: bool = False
) -> list[CellText]:
    clean = _cell(results, name, CLEAN, 0.0, draw=draw, rejected=rejected)
    cells = [_cell(results, name, attack, e, draw=draw, rejected=rejected) for e in results.eps]
    return [SUBJECTS[name].words, clean, *cells]


def _cell(
    results: Results,
    name: str,
    attack: str,
    eps: float,
    *,
    draw: int | None = None,
    rejected: bool = False,
) -> CellText:
    ours = results.estimate(name, attack, eps, draw=draw)
    if ours is None:
        return DASH
    share = results.estimate(name, attack, eps, "rejected", draw=draw)
    more = (f"rejected {percent(share.value)}",) if rejected and share and name in REJECTORS else ()
    return percent(ours.value), interval(ours.interval), *more


def _heads(results: Results, first: str) -> str:
    return "|".join([first, "#clean", *(f"#eps {eps:g}" for eps in results.eps)])


def _known(rows: Sequence[list[CellText]]) -> list[list[CellText]]:
    """Leave out rows of which nothing was measured."""
    return [row for row in rows if any(cell != DASH for cell in row[1:])]
