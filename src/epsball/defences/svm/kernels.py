"""Squared distances between all pairs of rows, and the RBF kernel made of them."""

import torch
from torch import Tensor

_SPANNED = 1e-5  # of the longest: what is shorter may be rounding
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


def exponents(
    rows: Tensor, points: Tensor, norms: Tensor, directions: Tensor | None = None
) -> Tensor:
    """Return -|x - x_i|^2 of all pairs, by one matrix product, with gradient.

    Args:
        rows: (n, d), centred as the points are, so that the sum does not cancel.
        points: (m, d); in bfloat16 the product is, of rows rounded alike: for a search, whose
            results are confirmed. Its own rounding is 2^-9 of it.
        norms: (m,), |x_i|^2 of these very points, rounded as they are.
        directions: (d, r), orthonormal, for a search too: points are (m, r), what is seen of them
            along these, norms still count all of them. Of x what lies beside the directions counts
            with its length; only its product with what lies beside them of x_i is left out.

    Returns:
        (n, m), at most 0: rounding may not make it positive.

    Example:
        >>> points = torch.tensor([[3.0, 4.0]])
        >>> exponents(torch.zeros(1, 2), points, points.square().sum(1)).tolist()
        [[-25.0]]
    """
    part = rows if directions is None else rows @ directions  # (n, r)
    length = rows.square().sum(1, keepdim=True)
    if points.dtype == torch.bfloat16:
        rounded = part.bfloat16()
        products = (rounded @ points.T).to(norms.dtype).mul(2).sub(norms)
        exact = rounded.to(norms.dtype)
        length = length - part.square().sum(1, keepdim=True) + exact.square().sum(1, keepdim=True)
    else:
        products = torch.addmm(norms, part, points.T, beta=-1, alpha=2)
    return (products - length).clamp_max(0)


def main_directions(points: Tensor, count: int, sample: int) -> Tensor:
    """Find the directions along which centred points lie farthest out.

    Args:
        points: (m, d), float32 or float64, centred.
        count: r, how many are wanted.
        sample: so many of the points, evenly spread, are used; at least r of them.

    Returns:
        (d, r) or fewer columns, orthonormal, of the points' dtype; of a sample that spans less
        than r dimensions only those it spans.

    Example:
        >>> main_directions(torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 0.1]]), 1, 3).abs()
        tensor([[1.],
                [0.]])
    """
    chosen = torch.linspace(0, len(points) - 1, min(sample, len(points)), device=points.device)
    some = points[chosen.round().long()]
    # the products of s points with each other determine the directions, and are smaller than d x d
    lengths, mixtures = torch.linalg.eigh(some @ some.T)
    spanned = lengths > _SPANNED * lengths[-1].clamp_min(torch.finfo(points.dtype).tiny)
    chosen = spanned.nonzero()[:, 0].flip(0)[:count]
    directions: Tensor = torch.linalg.qr(some.T @ mixtures[:, chosen]).Q
    return directions
