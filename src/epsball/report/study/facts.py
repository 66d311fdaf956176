"""What a person needs to do a study again."""

import json
from collections.abc import Mapping
from typing import Any


def study_facts(manifest: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """List options, images, versions and machine of a study, group by group.

    Args:
        manifest: the content of study.json.

    Returns:
        (group, [(name, value)]) in reading order; what is not known is left out.
    """
    # a path says nothing to another reader; what the images are stands under "Images"
    options = {k: v for k, v in manifest["options"].items() if k not in ("data", "grid")}
    options |= {name: _listed(values) for name, values in manifest["options"]["grid"].items()}
    groups = {
        "Options": options,
        "Images": manifest["data"],
        "Versions": manifest["versions"],
        "Machine": manifest["hardware"],
    }
    return [(name, _pairs(values)) for name, values in groups.items()]


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(k.replace("_", " "), _words(v)) for k, v in values.items() if v is not None]


def _words(value: Any) -> str:  # noqa: ANN401 - whatever a manifest holds
    return value if isinstance(value, str) else json.dumps(value)


def _listed(values: Any) -> str:  # noqa: ANN401 - a list of parameters
    return ", ".join(map(str, values))
