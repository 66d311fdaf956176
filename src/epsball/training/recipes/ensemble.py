"""Recipe `ensemble`: examples that were made on other models teach what transfers."""

import torch
from torch import Tensor, nn

from epsball.training.recipes.mixes import fgsm_examples
from epsball.training.recipes.spec import Batch


def ensemble_examples(model: nn.Module, batch: Batch) -> Tensor:
    """Return FGSM examples made on one model, drawn for the batch: itself or one of the sources.

    A model that makes its own examples can learn to make weak ones; static models cannot be taught
    to. What it is worth shows on a model that was no source.

    Args:
        model: the one that is trained.
        batch: its sources, `eps`, `norm` and `reference` are read; its generator draws.

    Returns:
        (n, c, h, w) in [0, 1], without gradient.

    Source: Tramer et al. 2018, arXiv:1705.07204, section 4. Departure: the whole batch comes twice,
    clean and perturbed, weighted by `alpha`.
    """
    makers = (model, *batch.sources)
    place = batch.images.device
    index = int(torch.randint(len(makers), (), generator=batch.generator, device=place))
    return fgsm_examples(makers[index], batch)
