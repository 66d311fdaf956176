"""Which images of a data set to use: the first, or a sample with every class having its share.

A sample is fixed by the labels and the seed alone. All samples draw from the same shuffled order
within each class, so that a larger one repeats (almost) all of a smaller one.
"""

import heapq
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from epsball.errors import InvalidInput
from epsball.types import Positions

How: TypeAlias = Literal["auto", "first", "stratified"]
Members: TypeAlias = list[NDArray[np.int64]]  # per class its positions, shuffled


def choose(
    labels: NDArray[np.int64], limit: int | None, *, how: How = "auto", seed: int = 0
) -> Positions:
    """Choose the images that an evaluation uses.

    Args:
        labels: (n,), int64.
        limit: how many to use, 1 or more; None or more than n: all of them.
        how: "first" takes the first; "stratified" draws without replacement, every class having
            its share of the whole by largest remainder; "auto" is stratified where labels come
            sorted by class (the first ones would all be of one class), else first.
        seed: 0 or more; fixes the stratified draw, and which classes get the odd places.

    Returns:
        (m,), int64, increasing.

    Raises:
        InvalidInput: limit is below 1, or `how` is unknown.

    Example:
        >>> choose(np.array([1, 0, 1, 0]), 2)
        array([0, 1])
        >>> labels = np.array([0, 0, 0, 0, 1, 1])
        >>> labels[choose(labels, 3)]
        array([0, 0, 1])
    """
    if limit is not None and limit < 1:
        raise InvalidInput(f"limit must be 1 or more, got {limit}: leave it out to use all")
    if how not in ("auto", "first", "stratified"):
        raise InvalidInput(f"how must be auto, first or stratified, got {how!r}")
    wanted = len(labels) if limit is None else min(limit, len(labels))
    stratified = how == "stratified" or (how == "auto" and _is_sorted_by_class(labels))
    if not stratified or wanted == len(labels):
        return np.arange(wanted, dtype=np.int64)
    members, ranks = _shuffled(labels, seed)
    shares = _largest_remainder(np.array([len(rows) for rows in members]), wanted, ranks)
    chosen = [rows[:share] for rows, share in zip(members, shares, strict=True)]
    return np.sort(np.concatenate(chosen))


def stratified_order(labels: NDArray[np.int64], seed: int = 0) -> Positions:
    """Order images so that an evaluation that stops early has still seen every class fairly.

    Of the first m, each class of size c has c * m / n, rounded either down or up, for every m.
    No order can promise more, and one that keeps this always exists.

    Args:
        labels: (n,), int64.
        seed: 0 or more; fixes the order within classes and ties between them.

    Returns:
        (n,), int64, a permutation.

    Source: Steiner and Yeomans 1993, "Level schedules for mixed-model, just-in-time processes",
        Management Science 39(6): each place in the order is a time slot; the j-th image of a
        class (all counted from 0) may not come before slot floor(j n / c) nor after
        ceil((j + 1) n / c) - 1; earliest deadline first. Departure: ties are broken by a seeded
        rank of the classes.

    Example:
        >>> labels = np.array([0, 0, 0, 0, 1, 1])
        >>> np.bincount(labels[stratified_order(labels)[:3]])
        array([2, 1])
    """
    members, ranks = _shuffled(labels, seed)
    total = len(labels)
    releases: list[list[tuple[int, int, int]]] = [[] for _ in range(total)]
    for rows, rank in zip(members, ranks.tolist(), strict=True):
        size = len(rows)
        for j, row in enumerate(rows.tolist()):
            deadline = -(-(j + 1) * total // size) - 1
            releases[j * total // size].append((deadline, rank, row))
    ready: list[tuple[int, int, int]] = []
    order = np.empty(total, dtype=np.int64)
    for slot, released in enumerate(releases):
        for image in released:
            heapq.heappush(ready, image)
        order[slot] = heapq.heappop(ready)[-1]
    return order


def _is_sorted_by_class(labels: NDArray[np.int64]) -> bool:
    steps = np.diff(labels)
    return bool((steps >= 0).all() and (steps > 0).any())


def _shuffled(labels: NDArray[np.int64], seed: int) -> tuple[Members, NDArray[np.int64]]:
    """Return per class its positions in random order, and a random rank of each class."""
    generator = np.random.default_rng(seed)
    mixed = generator.permutation(len(labels)).astype(np.int64)
    grouped = mixed[np.argsort(labels[mixed], kind="stable")]
    _, starts = np.unique(labels[grouped], return_index=True)
    members = np.split(grouped, starts[1:])
    return members, generator.permutation(len(members)).astype(np.int64)


def _largest_remainder(
    sizes: NDArray[np.int64], wanted: int, ranks: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Split `wanted` places among classes in proportion to their sizes, in whole numbers."""
    shares, remainders = np.divmod(sizes * wanted, sizes.sum())
    neediest = np.lexsort((ranks, -remainders))
    shares[neediest[: wanted - shares.sum()]] += 1
    return np.asarray(shares, dtype=np.int64)
