"""Squared distances between all pairs of rows, and the RBF kernel made of them."""

import torch
from torch import Tensor

_BLOCK = 2048  # rows: two blocks of 12,544 float32 features and their product fit into 220 MB


def squared_distances(rows: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return |x_i - x_j|^2 for all pairs, computed in blocks, each pair once.

    Args:
        rows: (n, d), float, centred: the products are taken in the dtype they come in, and a
            common offset would cancel badly there. Norms are summed in float64.
        dtype: of the result.

    Returns:
        (n, n), symmetric to the last bit, 0 or more, its diagonal exactly 0.

    Example:
        >>> squared_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist()
        [[0.0, 25.0], [25.0, 0.0]]
    """
    cuts = [slice(at, min(at + _BLOCK, len(rows))) for at in range(0, len(rows), _BLOCK)]
    norms = torch.cat([rows[cut].double().square().sum(1) for cut in cuts])
    distances = torch.empty((len(rows), len(rows)), dtype=dtype)
    for number, here in enumerate(cuts):
        for there in cuts[: number + 1]:
            block = (rows[here] @ rows[there].T).double().mul_(-2)
            block.add_(norms[here, None]).add_(norms[None, there]).clamp_min_(0)
            distances[there, here] = block.T
            distances[here, there] = block
        corner = distances[here, here]
        corner.copy_(torch.triu(corner, 1) + torch.triu(corner, 1).T)
    return distances


def rbf(distances: Tensor, gamma: float) -> Tensor:
    """Turn squared distances into exp(-gamma * distance), in place."""
    return distances.mul_(-gamma).exp_()


def exponents(rows: Tensor, points: Tensor, norms: Tensor) -> Tensor:
    """Return -|x - x_i|^2 of all pairs, by one matrix product, with gradient.

    Args:
        rows: (n, d), centred as the points are, so that the sum does not cancel.
        points: (m, d); in bfloat16 the product is, of rows rounded alike: for a search, whose
            results are confirmed. Its own rounding is 2^-9 of it.
        norms: (m,), |x_i|^2 of these very points, rounded as they are.

    Returns:
        (n, m), at most 0: rounding may not make it positive.

    Example:
        >>> points = torch.tensor([[3.0, 4.0]])
        >>> exponents(torch.zeros(1, 2), points, points.square().sum(1)).tolist()
        [[-25.0]]
    """
    if points.dtype == torch.bfloat16:
        rounded = rows.bfloat16()
        products = (rounded @ points.T).to(norms.dtype).mul(2).sub(norms)
        rows = rounded.to(norms.dtype)
    else:
        products = torch.addmm(norms, rows, points.T, beta=-1, alpha=2)
    return (products - rows.square().sum(1, keepdim=True)).clamp_max(0)
