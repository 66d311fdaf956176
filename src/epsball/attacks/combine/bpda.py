"""Backward pass differentiable approximation: a gradient for steps that have none."""

from torch import nn

from epsball.straight_through import Step, StraightThrough


def bpda(forward: Step, backward: Step | None = None) -> nn.Module:
    """Give a step that hides its gradient the gradient of another.

    Quantisation has a gradient of zero, a JPEG codec has none: an attack through either stands
    still or is refused, and the model behind looks robust. Put the result where the step was.

    Args:
        forward: images (n, c, h, w) to images; may be numpy, files, anything; is given them
            without gradient.
        backward: differentiable, nearly the same as forward, with results of the same shape; the
            identity when None, which suits every step that returns nearly what it is given.

    Returns:
        A module with exactly the values of forward and the gradient of backward at the same
        images. Backward is only run where a gradient is wanted.

    Raises:
        BrokenContract: when it is run: the two return different shapes.

    Source: Athalye, Carlini and Wagner 2018, arXiv:1802.00420, section 4.1.

    Example:
        >>> import torch
        >>> from epsball.attacks import pgd
        >>> model, coarse = torch.nn.Flatten(), bpda(torch.round)
        >>> x, y = torch.tensor([[[[0.6, 0.4]]]]), torch.tensor([0])
        >>> adversarial = pgd(lambda z: model(coarse(z)), x, y, eps=0.2)
        >>> adversarial.flatten().round().tolist()
        [0.0, 1.0]
    """
    return StraightThrough(forward, backward)
