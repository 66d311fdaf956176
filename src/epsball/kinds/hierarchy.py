"""A hierarchy of classes, and how many edges lie between two of them. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from epsball.errors import InvalidInput, unknown_name

UNCONNECTED = np.iinfo(np.int64).max // 4  # edges between nodes without a common ancestor
WORDNET_EDGES = 5  # the slides' co-natural pairs are 4 and 5 edges apart, all others at least 7
FAMILY_EDGES = 2  # of a user's own hierarchy: classes with a common parent


@dataclass(frozen=True)
class Hierarchy:
    """Classes and their ancestors; a node may have several parents.

    Args:
        parents: the parents of every node; a root has none.
        names: the words for a node, where they are not the node itself.
    """

    parents: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]

    def distances_up(self, node: str) -> dict[str, int]:
        """Return the edges from a node to each of its ancestors, itself included (0)."""
        reached, level, step = {node: 0}, [node], 0
        while level:
            step += 1
            level = [p for child in level for p in self.parents[child] if p not in reached]
            reached |= dict.fromkeys(level, step)
        return reached

    def edges(self, one: str, other: str) -> int:
        """Return the edges of the shortest path through a common ancestor.

        Args:
            one: a node.
            other: likewise.

        Returns:
            The number of edges, `UNCONNECTED` without a common ancestor.

        Example:
            >>> tree = Hierarchy({"animal": (), "cat": ("animal",), "dog": ("animal",)}, {})
            >>> tree.edges("cat", "dog")
            2
        """
        above, beyond = self.distances_up(one), self.distances_up(other)
        return min((above[a] + beyond[a] for a in above.keys() & beyond), default=UNCONNECTED)

    def edge_matrix(self, nodes: Sequence[str]) -> NDArray[np.int64]:
        """Return the edges between all pairs of nodes, (k, k), int64."""
        below: dict[str, list[tuple[int, int]]] = {}
        for row, node in enumerate(nodes):
            for ancestor, steps in self.distances_up(node).items():
                below.setdefault(ancestor, []).append((row, steps))
        matrix = np.full((len(nodes), len(nodes)), UNCONNECTED)
        for members in below.values():
            rows, steps = np.array(members).T
            block = np.ix_(rows, rows)
            matrix[block] = np.minimum(matrix[block], steps[:, None] + steps[None, :])
        return matrix

    def leaves(self) -> tuple[str, ...]:
        """Return the nodes without children, sorted."""
        inner = {parent for parents in self.parents.values() for parent in parents}
        return tuple(sorted(self.parents.keys() - inner))


@cache
def wordnet() -> Hierarchy:
    """Return the WordNet 3.0 nouns above the 1,000 classes of ImageNet.

    Its leaves, sorted by WordNet id, are the classes in ImageNet's usual order.

    Example:
        >>> tree = wordnet()
        >>> len(tree.leaves()), tree.names[tree.leaves()[0]]
        (1000, 'tench, Tinca tinca')

    Source: Miller 1995, WordNet, Communications of the ACM 38, 39-41; its licence lies beside
        the file.
    """
    text = files("epsball.kinds").joinpath("wordnet/hypernyms.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    parents = {row[0]: tuple(filter(None, row[2].split(","))) for row in rows}
    return Hierarchy(parents, {row[0]: row[1] for row in rows})


def read_hierarchy(file: Path, classes: Sequence[str]) -> Hierarchy:
    """Read a user's hierarchy.

    Args:
        file: UTF-8 text, one line a node: its name, a tab, the names of its parents separated by
            commas (empty for a root); lines that start with "#" are left out. A parent without a
            line of its own is a root. Each class of the data has a line, and every node that is
            nobody's parent is a class.
        classes: the class names of the data.

    Raises:
        InvalidInput: the file is missing or malformed, has a cycle, lacks a class, or names one
            that the data do not have.
    """
    parents = _parents_in(file)
    for above in list(parents.values()):
        for node in above:
            parents.setdefault(node, ())
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        ring = " -> ".join(error.args[1])
        raise InvalidInput(
            f"hierarchy {file} must have no cycle, found {ring}: remove one of these lines"
        ) from None
    hierarchy = Hierarchy(parents, {})
    for name in classes:
        if name not in parents:
            raise InvalidInput(
                f"hierarchy {file} must have a line for each class, {name!r} has none: add one"
            )
    for leaf in hierarchy.leaves():
        if leaf not in classes:
            raise unknown_name(f"class in hierarchy {file}", leaf, classes)
    return hierarchy


def _parents_in(file: Path) -> dict[str, tuple[str, ...]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"hierarchy {file} must be a UTF-8 text file ({error}): name another file, 'wordnet' "
            "or 'confusion'"
        ) from None
    parents: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        node, _, above = (part.strip() for part in line.partition("\t"))
        if not node or node in parents:
            fault = f"repeats {node!r}" if node else "names no node"
            raise InvalidInput(
                f"hierarchy {file} must give each node once, line {number} {fault}: correct it"
            )
        parents[node] = tuple(filter(None, (name.strip() for name in above.split(","))))
    return parents
