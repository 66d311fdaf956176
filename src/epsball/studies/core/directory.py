"""A study's directory: whether it may be continued, and its summary."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from epsball.errors import InvalidInput
from epsball.files import write_bytes
from epsball.runs.directory import check_vacant, differences, refuse_other_run
from epsball.runs.environment import environment
from epsball.studies.claims.story import Story
from epsball.studies.claims.table import load_claims
from epsball.studies.core.cell import Cell
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.core.store import SCHEMA_VERSION, Store, older_version

MANIFEST, SUMMARY = "study.json", "summary.json"
# more seeds, settings or classes only add cells; the device and the path of the data do not count
_MAY_CHANGE = ("seeds", "grid", "classes", "searched", "device", "data")


def check_directory(out: Path, study: str, options: Options, data: DataSummary) -> None:
    """Check that a study may be run in a directory; write nothing.

    Args:
        out: the directory; it need not exist.
        study: the study's name.
        options: of the study.
        data: facts about the images.

    Raises:
        InvalidInput: the directory holds another study or run, or something else.
    """
    file = out / MANIFEST
    if file.exists():
        manifest = _read(file)
        if manifest.get("schema") != SCHEMA_VERSION:
            raise older_version(out, manifest)
        refuse_other_run(out, "study", _differences(manifest, _request(study, options, data)))
    else:
        check_vacant(out)


def open_directory(
    out: Path, study: str, options: Options, data: DataSummary, command: str
) -> None:
    """Begin a study in a directory, or continue the one that is there.

    Args:
        out: the directory, checked by `check_directory`; created if it does not exist.
        study: the study's name.
        options: of the study.
        data: facts about the images.
        command: as it was typed.

    Raises:
        InvalidInput: the directory cannot be written to.
    """
    manifest = _request(study, options, data) | {"command": command} | environment()
    write_bytes(out / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())


def _request(study: str, options: Options, data: DataSummary) -> dict[str, Any]:
    request = {
        "schema": SCHEMA_VERSION,
        "study": study,
        "options": asdict(options),
        "data": asdict(data),
    }
    return dict(json.loads(json.dumps(request)))


def write_summary(
    out: Path, spec: StudySpec, story: Story, store: Store, cells: Sequence[Cell]
) -> dict[str, Any]:
    """Write summary.json, and return its content.

    Args:
        out: the study's directory.
        spec: the study.
        story: the content of its page.
        store: its finished and failed cells.
        cells: all of the plan.
    """
    content = story.as_dict()
    sources = {claim.id: claim for claim in load_claims(spec.name)}
    claims = [
        {**verdict, "kind": sources[verdict["id"]].kind, "text": sources[verdict["id"]].text}
        for verdict in content.pop("verdicts")
    ]
    summary = {
        "schema": SCHEMA_VERSION,
        "study": spec.name,
        "what": spec.what,
        "source": spec.source,
        "cells": {"planned": len(cells), "done": sum(store.has(cell.hash) for cell in cells)},
        "failed": store.failures(cells),
        "claims": claims,
        "verdicts": dict(Counter(claim["verdict"] for claim in claims)),
        "story": content,
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


def _differences(there: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    """Name what differs; another study differs in that alone."""
    if there["study"] != request["study"]:
        return differences({"study": there["study"]}, {"study": request["study"]})
    before, now = (
        {name: value for name, value in one["options"].items() if name not in _MAY_CHANGE}
        for one in (there, request)
    )
    return differences(before, now) + differences(
        {"data": there["data"]}, {"data": request["data"]}
    )
