"""Which stages a cheap verdict needs, and in which order: chosen on records of our own.

    python -m benchmarks.verdicts.order --out DIR [--images 100] [--page FILE]

Every candidate attacks every image of the tuning networks by itself, and a row says what it cost
and whether it fooled the image. Then, again and again, the candidate that fools the most images
that are left for its cost is put next, until none fools any. The networks differ from those of the
table by their seeds, so that an order chosen here can be judged there. Rows are kept in DIR.

Source: the choice after Liu et al. 2023, arXiv:2211.12713, which counts seconds.
"""

import argparse
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
import torch
from benchmarks.verdicts.networks import CASES, Case, open_network
from torch import Tensor

from epsball.attacks import apgd, apgd_t, fab, pgd, relaxation, square
from epsball.attacks.combine.over_targets import over_targets
from epsball.evaluation.engine.recorder import Recorder
from epsball.files import write_atomically
from epsball.objectives import margin
from epsball.types import ModelInfo, Search

SEED = 100  # of the tuning networks, beside that of the case
CANDIDATES: dict[str, Callable[..., Tensor]] = {
    "pgd, cross-entropy, 10 steps": partial(pgd, steps=10),
    "pgd, margin, 20 steps": partial(pgd, steps=20, objective=margin),
    "pgd, margin, 200 steps": partial(pgd, steps=200, objective=margin),
    "apgd, cross-entropy, 32 steps": partial(apgd, steps=32),
    "apgd, cross-entropy, 100 steps": partial(apgd, steps=100),
    "apgd-t, 3 classes, 40 steps": partial(apgd_t, steps=40, classes=3),
    "apgd-t, 9 classes, 100 steps": partial(apgd_t, steps=100, classes=9),
    "relaxation, 1 class, once": partial(relaxation, classes=1, passes=1),
    "relaxation, 3 classes, once": partial(relaxation, classes=3, passes=1),
    "relaxation": relaxation,
    "fab, 3 classes, 50 steps": partial(over_targets(fab, count=3), steps=50, norm="linf"),
    "square, 150 queries": partial(square, queries=150),
    "square, 1,000 queries": partial(square, queries=1000),
}


def main() -> None:
    """Record what is not recorded yet, and choose."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    frames = []
    for name in options.only:
        file = options.out / f"{name}.parquet"
        if not file.is_file():
            frame = recorded(name, CASES[name], options.out, options.images)
            write_atomically(file, frame.write_parquet)
            print(f"{name}: {frame['image'].n_unique()} images", flush=True)
        frames.append(pl.read_parquet(file))
    text = page(pl.concat(frames), f"python -m benchmarks.verdicts.order --images {options.images}")
    print(text)
    if options.page is not None:
        options.page.write_text(text, encoding="utf-8")


def recorded(name: str, case: Case, folder: Path, count: int) -> pl.DataFrame:
    """Put every candidate to the images of a network that it gets right, one row each."""
    case = replace(case, seed=case.seed + SEED) if case.build is not None else case
    model, images, labels = open_network(f"tuning-{name}", case, folder, count)
    with torch.no_grad():
        right = model(images).argmax(1) == labels
    images, labels = images[right], labels[right]
    frames = []
    for candidate, attack in CANDIDATES.items():
        recorder = Recorder(model, ModelInfo(case.classes), len(images), "cpu")
        offered = {
            "eps": case.eps,
            "generator": torch.Generator().manual_seed(0),
            "search": Search(micro_batch=100),
        }
        takes = inspect.signature(attack).parameters
        given = {key: value for key, value in offered.items() if key in takes}
        points = attack(recorder, images, labels, **given)
        far = (points - images).abs().flatten(1).amax(1) > case.eps * (1 + 1e-5)
        with torch.no_grad():
            fooled = (model(points).argmax(1) != labels) & ~far
        frames.append(
            pl.DataFrame(
                {
                    "network": [name] * len(images),
                    "image": list(range(len(images))),
                    "candidate": [candidate] * len(images),
                    "cost": (recorder.forwards + 2 * recorder.backwards).tolist(),
                    "fooled": fooled.tolist(),
                }
            )
        )
    return pl.concat(frames)


def chosen(rows: pl.DataFrame) -> list[tuple[str, int, float]]:
    """Return the order: (candidate, images that it fools newly, cost of an image that is left)."""
    left, order = rows, list[tuple[str, int, float]]()
    while len(left):
        sums = left.group_by("candidate", maintain_order=True).agg(
            pl.col("fooled").sum(), pl.col("cost").sum(), pl.len().alias("images")
        )
        gains = [(row["fooled"] / max(row["cost"], 1), row) for row in sums.to_dicts()]
        gain, best = max(gains, key=lambda item: item[0])
        if gain == 0:
            break
        order.append((best["candidate"], best["fooled"], best["cost"] / best["images"]))
        fooled = left.filter(candidate=best["candidate"]).filter("fooled")
        left = left.filter(pl.col("candidate") != best["candidate"])
        left = left.join(fooled.select("network", "image"), on=["network", "image"], how="anti")
    return order


def page(rows: pl.DataFrame, command: str) -> str:
    """Write the order down, and what each candidate does alone."""
    networks = rows["network"].unique(maintain_order=True).to_list()
    text = (
        "# In which order a cheap verdict attacks\n\n"
        f"{rows.select('network', 'image').n_unique()} images of {len(networks)} networks "
        f"({', '.join(networks)}; `benchmarks/verdicts/networks.py`, seeds + {SEED}), each put to "
        "each candidate by itself in float32. Cost is passes of an image, f + 2 b. Next comes "
        "whatever fools the most images that are left for its cost; what fools none of them is "
        f"left out.\n\nMade by `{command}`.\n\n"
    )
    text += _table(("next", "fooled newly", "cost of an image that is left"), [
        (name, f"{count}", f"{each:,.0f}") for name, count, each in chosen(rows)
    ])  # fmt: skip
    text += "\n## Each by itself\n\n"
    alone = rows.group_by("candidate", maintain_order=True).agg(
        pl.col("fooled").mean(), pl.col("cost").mean()
    )
    return text + _table(("candidate", "fooled", "cost of an image"), [
        (row["candidate"], f"{row['fooled']:.1%}", f"{row['cost']:,.0f}")
        for row in alone.to_dicts()
    ])  # fmt: skip


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
