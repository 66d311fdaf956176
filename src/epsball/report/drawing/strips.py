"""Image strips: one image under a row of eps, with what was added and what the model said."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import polars as pl

from epsball.evaluation.records.schema import SavedImages, read_records, read_saved_images
from epsball.report.audit.run import Run, Setting, strongest
from epsball.report.drawing.numbers import brief, distance, percent
from epsball.report.drawing.pixels import SHARP, data_address, magnify

_SHOWN = 6  # images under the strongest attack of a norm
_COLUMNS = 6  # eps in a strip
_BYTES = 1_100_000  # of encoded images on a page; the page should stay below three megabytes


class Tile(NamedTuple):
    """One column of a strip; the original has no perturbation."""

    head: str
    image: str
    alt: str
    verdict: str
    said: str
    confidence: str
    perturbation: str = ""
    factor: int = 0


class Strip(NamedTuple):
    """One image under one attack, eps rising from left to right."""

    title: str
    attack: str
    sharp: bool
    tiles: list[Tile]


def image_strips(run: Run) -> list[Strip]:
    """Choose images and lay them out: several under the strongest attack, one under each other.

    Args:
        run: a run; without kept images there are no strips.

    Returns:
        As many strips as the page has room for, in a fixed order.
    """
    images = read_saved_images(run.path)
    if images is None:
        return []
    records = read_records(run.path)
    known = records.filter(pl.col("index").is_in(images.positions.tolist()))
    said = {(r["index"], r["variant"], r["norm"], r["eps"]): r for r in known.iter_rows(named=True)}
    strips: list[Strip] = []
    size = 0
    for row, settings in _choices(run, images, said):
        strip = _strip(run, images, said, row, settings)
        size += sum(len(tile.image) + len(tile.perturbation) for tile in strip.tiles)
        if strips and size > _BYTES:
            break
        strips.append(strip)
    return strips


_Said = dict[tuple[int, str, str, float], dict[str, Any]]


def _choices(run: Run, images: SavedImages, said: _Said) -> Iterator[tuple[int, list[Setting]]]:
    settings = [Setting(*key) for key in images.adversarial]
    for norm in run.norms:
        here = [setting for setting in settings if setting.norm == norm]
        if not here:
            continue
        best = strongest(run, here)
        rows = _telling_rows(images, said, best[-1])
        yield from ((row, _thinned(best)) for row in rows)
        for variant in run.variants(norm):
            others = sorted(s for s in here if s.variant == variant != best[0].variant)
            if others and rows:
                yield rows[0], _thinned(others)


def _telling_rows(images: SavedImages, said: _Said, hardest: Setting) -> list[int]:
    """Images that were right and got fooled, one a class; then one that held; then the rest."""
    fooled, safe, rest = [], [], []
    seen: set[int] = set()
    for row, (position, label) in enumerate(zip(images.positions, images.labels, strict=True)):
        record = said.get((int(position), *hardest))
        right = record is not None and record["clean_prediction"] == label
        if right and record is not None and record["safe"]:
            safe.append(row)
        elif right and int(label) not in seen:
            fooled.append(row)
            seen.add(int(label))
        else:
            rest.append(row)
    first = [*fooled[: _SHOWN - bool(safe)], *safe[:1]]
    return [*first, *(row for row in (*fooled, *safe, *rest) if row not in first)][:_SHOWN]


def _thinned(settings: list[Setting]) -> list[Setting]:
    if len(settings) <= _COLUMNS:
        return settings
    last = len(settings) - 1
    return [settings[round(i * last / (_COLUMNS - 1))] for i in range(_COLUMNS)]


def _strip(run: Run, images: SavedImages, said: _Said, row: int, settings: list[Setting]) -> Strip:
    position, label = int(images.positions[row]), int(images.labels[row])
    name = brief(run.names[label], 60)
    first = said.get((position, *settings[0]), {})
    original = Tile(
        "original",
        data_address(images.clean[row]),
        f"The original image, its label is {name}",
        *_answer(run, label, first, attacked=False),
    )
    tiles = [original, *(_tile(run, images, said, row, setting) for setting in settings)]
    attack = f"{settings[0].variant}, {settings[0].norm}"
    sharp = max(images.clean.shape[-2:]) <= SHARP
    return Strip(f"\u201c{name}\u201d (image {position})", attack, sharp, tiles)


def _tile(run: Run, images: SavedImages, said: _Said, row: int, setting: Setting) -> Tile:
    position, label = int(images.positions[row]), int(images.labels[row])
    adversarial = images.adversarial[setting.variant, setting.norm, setting.eps][row]
    shown, factor = magnify(adversarial - images.clean[row])
    record = dict(said.get((position, *setting), {}))
    sure = images.confidence.get((setting.variant, setting.norm, setting.eps))
    if record and record.get("confidence") is None and sure is not None:
        record["confidence"] = float(sure[row])
    return Tile(
        f"eps {distance(setting.eps)}",
        data_address(adversarial),
        f"The same image after {setting.words}",
        *_answer(run, label, record, attacked=True),
        data_address(shown),
        factor,
    )


def _answer(
    run: Run, label: int, record: dict[str, Any], *, attacked: bool
) -> tuple[str, str, str]:
    """The verdict in a word, the class that the model named, and how sure it was."""
    prefix, good, bad = ("", "held", "fooled") if attacked else ("clean_", "right", "wrong")
    prediction = record.get(f"{prefix}prediction")
    if prediction is None:
        return "", "", ""
    verdict = good if prediction == label else bad
    if record.get(f"{prefix}rejected"):
        verdict = "rejected"
    confidence = record.get(f"{prefix}confidence")
    sure = "" if confidence is None else percent(confidence, digits=0)
    return verdict, brief(run.names[prediction], 40), sure
