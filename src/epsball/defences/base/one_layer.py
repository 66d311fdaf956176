"""One layer of a model, and the model's scores, read in the same forward pass."""

from typing import cast

import torch
from torch import Tensor, nn

from epsball.defences.base.features import Features
from epsball.defences.base.images import ImageSet
from epsball.defences.base.last_layers import last_layers
from epsball.defences.svm.rows import check_rows
from epsball.errors import InvalidInput
from epsball.tensors import Classifier, Images


def check_layer(model: Classifier, layer: str | None) -> None:
    """Refuse a layer that does not exist.

    Raises:
        InvalidInput: it does not.
    """
    if layer is not None:
        Features(model, (layer,))


def learn_from(
    model: Classifier, layer: str | None, images: ImageSet, labels: Tensor
) -> tuple[str, Tensor]:
    """Return the name of the selected layer and its activations.

    Args:
        model: in eval mode.
        layer: its name; None: the last hidden one.
        images: n of them.
        labels: (n,), int64.

    Returns:
        The name, and features (n, d) on the CPU, float32 or float64.

    Raises:
        InvalidInput: the layer cannot be read, or its features are not finite or never vary.
    """
    name = layer or last_layers(model, images.example(), 1)[0]
    features = Features(model, (name,)).collect(images)[name]
    check_rows(features, labels, f"layer {name!r}")
    return name, features.to(torch.promote_types(features.dtype, torch.float32))


def scores_and_features(
    model: Classifier, layer: str, inputs: Images, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the model's scores (n, k) and a layer's features (n, d), from one forward pass.

    Args:
        model: in eval mode.
        layer: its name.
        inputs: (n, c, h, w) in [0, 1].
        like: (..., d), of the dtype that the features are wanted in.

    Raises:
        InvalidInput: the layer gives another number of features than d.
    """
    # the model is a layer of the sequence, so what it gives is read as well; `learn_from` has
    # refused what is no module
    read = Features(nn.Sequential(cast("nn.Module", model)), ("0", f"0.{layer}"))(inputs)
    features, wide = read[f"0.{layer}"], like.shape[-1]
    if features.shape[1] != wide:
        raise InvalidInput(
            f"layer {layer!r} gave {wide} features an image in the fit, now {features.shape[1]}: "
            "give images of the size of those of the fit"
        )
    return read["0"], features.to(torch.promote_types(features.dtype, like.dtype))
