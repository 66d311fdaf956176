from pathlib import Path

import numpy as np
import pytest

from epsball.errors import InvalidInput
from epsball.kinds.hierarchy import UNCONNECTED, Hierarchy, read_hierarchy, wordnet

# ImageNet's numbers of the pairs on the slides
CO_NATURAL = {"keeshond, Shetland sheepdog": (261, 230), "American, African chameleon": (40, 47)}
OTHERS = {
    "carbonara, swab": (959, 840),
    "bassinet, running shoe": (431, 770),
    "bicycle for two, plough": (444, 730),
    "fountain, fireboat": (562, 554),
    "dishwasher, plate rack": (534, 729),
    "dock, container ship": (536, 510),
    "assault rifle, military uniform": (413, 652),
    "car mirror, toaster": (475, 859),
    "lawn mower, go-kart": (621, 573),
}


@pytest.mark.parametrize("pair", CO_NATURAL.values(), ids=CO_NATURAL)
def test_the_co_natural_pairs_of_the_slides_are_close(pair: tuple[int, int]) -> None:
    tree = wordnet()
    assert tree.edges(*(tree.leaves()[c] for c in pair)) in (4, 5)


@pytest.mark.parametrize("pair", OTHERS.values(), ids=OTHERS)
def test_the_other_pairs_of_the_slides_are_far(pair: tuple[int, int]) -> None:
    tree = wordnet()
    assert tree.edges(*(tree.leaves()[c] for c in pair)) >= 7


def test_the_matrix_is_what_pairs_of_nodes_give() -> None:
    tree = wordnet()
    nodes = tree.leaves()[::97]
    matrix = tree.edge_matrix(nodes)
    each = [[tree.edges(one, other) for other in nodes] for one in nodes]
    assert np.array_equal(matrix, each)
    assert (matrix.diagonal() == 0).all()
    assert (matrix == matrix.T).all()


def test_without_a_common_ancestor_nothing_connects() -> None:
    assert Hierarchy({"a": (), "b": ()}, {}).edges("a", "b") == UNCONNECTED


def test_of_several_parents_the_shortest_way_counts() -> None:
    tree = Hierarchy({"r": (), "m": ("r",), "a": ("m", "r"), "b": ("r",)}, {})
    assert tree.edges("a", "b") == 2


def test_a_file_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "tree.tsv"
    file.write_text("# pets\ncat\tmammal\ndog\tmammal\nbird\tanimal\nmammal\tanimal\n")
    tree = read_hierarchy(file, ["cat", "dog", "bird"])
    assert tree.edges("cat", "dog") == 2
    assert tree.edges("cat", "bird") == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat\tdog\ndog\tcat\n", "no cycle, found"),
        ("cat\tanimal\n", "'dog' has none"),
        ("cat\tanimal\ndog\tanimal\ndgo\tanimal\n", "unknown class .*did you mean 'dog'"),
        ("cat\ta\ncat\tb\ndog\ta", "line 2 repeats 'cat'"),
        ("\tanimal\n", "line 1 names no node"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "tree.tsv"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_hierarchy(file, ["cat", "dog"])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="must be a UTF-8 text file"):
        read_hierarchy(tmp_path / "none.tsv", ["cat"])
