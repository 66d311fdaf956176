"""Measure `strongest` against AutoAttack's reference code, and write the table.

    python -m benchmarks.verdicts --autoattack CHECKOUT --out DIR [--images 200] [--page FILE]

Networks are trained here (a few minutes each) and kept in DIR beside one row a case, so that a run
that was stopped continues. Costs are passes of an image, f + 2 b; the control that says how far
the verdict may be believed is part of ours. Needs MNIST and CIFAR-10 in $EPSBALL_DATA.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from benchmarks.peers.with_autoattack import commit_of_checkout, locate
from benchmarks.verdicts.networks import CASES, COLLAPSED, open_case
from benchmarks.verdicts.page import page
from benchmarks.verdicts.sides import ours, reference

from epsball.files import write_atomically


def main() -> None:
    """Measure what is not measured yet, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--autoattack", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--collapsed-images", type=int, default=60)
    parser.add_argument("--only", nargs="*", choices=[*CASES, *COLLAPSED])
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    locate(options.autoattack)
    torch.set_num_threads(1)
    rows: dict[str, dict[str, Any]] = {}
    for name, case in (CASES | COLLAPSED).items():
        file = options.out / f"{name}.json"
        if file.is_file():
            rows[name] = json.loads(file.read_text(encoding="utf-8"))
        elif options.only is None or name in options.only:
            count = options.collapsed_images if name in COLLAPSED else options.images
            model, images, labels = open_case(name, options.out, count)
            row = {
                "about": case.about,
                "eps": case.eps,
                "target": case.target,
                "images": len(images),
                "ours": ours(model, images, labels, case.eps),
                "reference": reference(model, images, labels, case.eps),
            }
            write_atomically(file, lambda beside, row=row: beside.write_text(json.dumps(row)))
            rows[name] = row
            print(name, json.dumps(row), flush=True)
    if options.page is not None:
        command = (
            f"python -m benchmarks.verdicts --autoattack DIR --out DIR --images {options.images}"
        )
        options.page.write_text(page(rows, command, commit_of_checkout()), encoding="utf-8")


if __name__ == "__main__":
    main()
