"""A finished study that nobody ran: every kind of block, and a villain in every text."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tests.report.fake_plans import VILLAIN

from epsball.studies.claims.story import (
    Block,
    PlotBlock,
    Section,
    Story,
    StripBlock,
    TableBlock,
    Tile,
)
from epsball.studies.claims.table import Verdict

_EPS = (0.0, 0.05, 0.25)


def build(out: Path) -> Path:
    """Write summary.json and the kept images; return the directory."""
    images = np.linspace(0, 1, 3 * 28 * 28, dtype=np.float32).reshape(3, 1, 28, 28)
    (out / "images").mkdir()
    np.savez_compressed(out / "images" / "abc.npz", images=images)
    (out / "summary.json").write_text(json.dumps(_summary()), encoding="utf-8")
    return out


def story() -> Story:
    """Tell a story with a table, two plots and a strip."""
    lines = [
        {"series": name, "panel": panel, "x": x, "y": 0.9 - x * i, "low": 0.8 - x * i, "high": 0.95}
        for i, name in enumerate(("none", VILLAIN))
        for panel in ("accuracy", "confidence")
        for x in _EPS
    ]
    dots = [
        {
            "series": f"l1 {i}",
            "shape": f"l2 {j}",
            "panel": "ours",
            "label": f"{i}/{j}",
            "x": 0.9 + 0.01 * i,
            "y": 0.3 + 0.1 * j,
            "left": 0.89,
            "right": 0.95,
            "low": 0.2,
            "high": 0.5,
        }
        for i in range(3)
        for j in range(2)
    ]
    tiles = [Tile(eps, VILLAIN if eps else "7", eps == 0, 0.9) for eps in _EPS]
    table = TableBlock(
        "a table", f"{VILLAIN}|#accuracy", [["a | b", ("0.97", "0.96 to 0.98", "source 0.975")]]
    )
    blocks: list[Block] = [
        PlotBlock("lines", "points over eps", "lines", "eps", "share", lines),
        PlotBlock("dots", "a trade", "dots", "clean", "attacked", dots, lines=False, shares="xy"),
        PlotBlock("nothing", "no point", "none", "x", "y", []),
        StripBlock(f"a {VILLAIN}", "fgsm", "images/abc.npz", VILLAIN, tiles),
        StripBlock("lost", "fgsm", "images/gone.npz", "7", tiles),
        TableBlock("a folded table", "name|#n", [["x", "1"]], folded=True),
    ]
    sections = [
        Section("first", "The table", "What it holds.", [table]),
        Section("second", "Figures", "What they show.", blocks),
        Section("third", "Nothing", "There is none."),
    ]
    return Story("Is it so?", f"It is. {VILLAIN}", sections, [], ("a choice", VILLAIN))


def _claims() -> list[dict[str, Any]]:
    interval = (0.1, 0.2)
    result = [
        (
            "value",
            Verdict(
                "s.number",
                "match",
                0.15,
                interval,
                "Student t over 3 seeds",
                3,
                same_setting=True,
                differs=(),
                note="the source has 0.16",
            ),
        ),
        (
            "ordering",
            Verdict(
                "s.order",
                "refuted",
                -0.15,
                interval,
                "Student t over 3 seeds",
                3,
                same_setting=True,
                differs=(),
                note=f"2 of 3 hold {VILLAIN}",
            ),
        ),
        (
            "statement",
            Verdict(
                "s.words",
                "not run",
                None,
                None,
                None,
                0,
                same_setting=False,
                differs=(),
                note="nobody was asked",
            ),
        ),
        (
            "statement",
            Verdict(
                "s.else",
                "holds",
                0.15,
                interval,
                "Wilson over the images",
                1,
                same_setting=False,
                differs=("on digits",),
                note="it does",
            ),
        ),
    ]
    return [{**asdict(v), "kind": kind, "text": f"claim {VILLAIN}"} for kind, v in result]


def _summary() -> dict[str, Any]:
    result = story().as_dict()
    del result["verdicts"]
    return {
        "schema": 2,
        "study": "s",
        "what": "is it so?",
        "source": f"Somebody, {VILLAIN}",
        "cells": {"planned": 9, "done": 8},
        "failed": [{"cell": "abc", "label": "judge #0", "error": "ValueError", "message": VILLAIN}],
        "claims": _claims(),
        "verdicts": {"match": 1, "refuted": 1, "not run": 1, "holds": 1},
        "story": result,
        "manifest": {
            "study": "s",
            "command": "epsball study s --out there",
            "created": "2026-01-01T00:00:00+00:00",
            "options": {"data": "/secret/path", "seeds": 3, "limit": None, "grid": {"l1": [0, 1]}},
            "data": {"name": "mnist", "content": "abc", "shape": [1, 28, 28]},
            "versions": {"epsball": "0.1.0", "torch": "2.6"},
            "hardware": {"cores": 2, "processor": VILLAIN, "gpu": None},
        },
    }
