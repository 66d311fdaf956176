"""What a wrapper of classifiers takes from the classifiers inside."""

from torch import nn

from epsball.tensors import Classifier
from epsball.types import ModelInfo


def info_of(model: Classifier) -> ModelInfo | None:
    """Return what is known of a model, where it says."""
    info = getattr(model, "info", None)
    return info if isinstance(info, ModelInfo) else None


def adopt_mode(wrapper: nn.Module, *models: Classifier) -> None:
    """Put a wrapper into train mode if one of its models is; leave the models as they are."""
    # set by hand: train() would reach into the models and change layers that their owners froze
    wrapper.training = any(bool(getattr(model, "training", False)) for model in models)
