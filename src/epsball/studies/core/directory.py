"""A study's directory: what it holds, and whether it may be continued."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from epsball.errors import InvalidInput
from epsball.evaluation.manifest import surroundings
from epsball.files import write_bytes
from epsball.studies.claims.story import Story
from epsball.studies.claims.table import load_claims
from epsball.studies.core.materials import Materials
from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec

MANIFEST, SUMMARY = "study.json", "summary.json"
SCHEMA_VERSION = 1
# more seeds or settings only add cells; where they are done is no part of what is asked
_MAY_CHANGE = ("seeds", "grid", "searched", "device", "data")


def settle(out: Path, study: str, options: Options, materials: Materials, command: str) -> None:
    """Begin a study in a directory, or see that the one there is the same.

    Args:
        out: the directory; made if need be.
        study: its name.
        options: what is asked for.
        materials: the images.
        command: as it was typed.

    Raises:
        InvalidInput: the directory holds another study or run, or something else.
    """
    asked = {"study": study, "options": asdict(options), "materials": asdict(materials)}
    asked = json.loads(json.dumps(asked))
    file = out / MANIFEST
    if file.exists():
        differing = _differences(_read(file), asked)
        if differing:
            raise InvalidInput(
                f"--out {out} holds another study: it differs in {', '.join(differing)}; "
                "choose another --out"
            )
    elif out.exists() and (not out.is_dir() or _is_used(out)):
        raise InvalidInput(f"--out {out} holds something else: name a new or empty directory")
    text = json.dumps(asked | {"command": command} | surroundings(), indent=2)
    write_bytes(file, (text + "\n").encode())


def write_summary(
    out: Path, spec: StudySpec, story: Story, *, planned: int, done: int
) -> dict[str, Any]:
    """Write summary.json, and return its content.

    Args:
        out: the study's directory.
        spec: the study.
        story: what its rows say.
        planned: number of cells.
        done: how many of them an executor has done; all, if it did not leave some to others.
    """
    told = story.as_dict()
    said = {claim.id: claim for claim in load_claims(spec.name)}
    claims = [
        {**found, "kind": said[found["id"]].kind, "text": said[found["id"]].text}
        for found in told.pop("verdicts")
    ]
    summary = {
        "schema": SCHEMA_VERSION,
        "study": spec.name,
        "what": spec.what,
        "source": spec.source,
        "cells": {"planned": planned, "done": done},
        "claims": claims,
        "verdicts": dict(Counter(claim["verdict"] for claim in claims)),
        "story": told,
        "manifest": _read(out / MANIFEST),
    }
    text = json.dumps(summary, indent=1, allow_nan=False)
    write_bytes(out / SUMMARY, (text + "\n").encode())
    return dict(json.loads(text))


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise InvalidInput(
            f"{file} is not valid JSON ({error}): delete it, the rows beside it are kept"
        ) from None


def _differences(there: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    if there.get("study") != asked["study"]:
        return [f"study ({there.get('study')})"]
    before, now = there.get("options", {}), asked["options"]
    found = [k for k in now if k not in _MAY_CHANGE and before.get(k) != now[k]]
    same = there.get("materials") == asked["materials"]
    return found if same else [*found, f"data ({there.get('materials', {}).get('data')})"]


def _is_used(out: Path) -> bool:
    return any(not entry.name.endswith(".part") for entry in out.iterdir())
