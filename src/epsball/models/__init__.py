"""Classifiers: the zoo, the loading of a user's own model, and what is known about it.

Names are imported when they are first used, so that importing the room costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epsball.models.defended import Defended as Defended
    from epsball.models.identity import count_parameters as count_parameters
    from epsball.models.identity import fingerprint as fingerprint
    from epsball.models.loading import LoadedModel as LoadedModel
    from epsball.models.loading import load_model as load_model
    from epsball.models.preprocess import Pipeline as Pipeline
    from epsball.models.preprocess import Preprocess as Preprocess
    from epsball.models.preprocessing_defences import DEFENCES as DEFENCES
    from epsball.models.preprocessing_defences import DefenceSpec as DefenceSpec
    from epsball.models.preprocessing_defences import defence_named as defence_named
    from epsball.models.probing import probe as probe
    from epsball.models.scores import as_logits as as_logits
    from epsball.models.weights import load_weights as load_weights
    from epsball.models.zoo import MODELS as MODELS
    from epsball.models.zoo import ModelSpec as ModelSpec

_HOMES = {
    "DEFENCES": "preprocessing_defences",
    "DefenceSpec": "preprocessing_defences",
    "Defended": "defended",
    "defence_named": "preprocessing_defences",
    "LoadedModel": "loading",
    "MODELS": "zoo",
    "ModelSpec": "zoo",
    "Pipeline": "preprocess",
    "Preprocess": "preprocess",
    "as_logits": "scores",
    "count_parameters": "identity",
    "fingerprint": "identity",
    "load_model": "loading",
    "load_weights": "weights",
    "probe": "probing",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  # a module attribute may be anything
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
