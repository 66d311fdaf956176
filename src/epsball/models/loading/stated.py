"""What a file of weights states beside them: the preprocessing and the classes of its model."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from epsball.errors import InvalidInput
from epsball.models.loading.messages import one_line
from epsball.models.metadata import CLASSES_KEY, METADATA_KEY
from epsball.models.preprocess import Preprocess


def preprocessing_in(file: Path) -> dict[str, Any]:
    """Return the preprocessing that a file of weights states; see `epsball.models.preprocess`.

    Args:
        file: `.safetensors` that `epsball train` wrote; others state nothing.

    Raises:
        InvalidInput: what it states is not readable.
    """
    if file.suffix != ".safetensors" or not file.is_file():
        return {}
    try:
        with safe_open(file, framework="pt") as stored:
            text = (stored.metadata() or {}).get(METADATA_KEY, "{}")
        settings: dict[str, Any] = json.loads(text)
        Preprocess(**settings)
    except (SafetensorError, OSError):  # reading the weights raises the better message
        return {}
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"weights {file} state a preprocessing that cannot be read ({one_line(error)}): give "
            "--mean and --std"
        ) from error
    return settings


def class_names_in(file: Path) -> tuple[str, ...] | None:
    """Return the class names that a file of weights states; None where it states none.

    Args:
        file: `.safetensors` that `epsball train` wrote; others state nothing.
    """
    if file.suffix != ".safetensors" or not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as stored:
            names = json.loads((stored.metadata() or {}).get(CLASSES_KEY, "null"))
    except (SafetensorError, OSError, ValueError):
        return None
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_list else None
