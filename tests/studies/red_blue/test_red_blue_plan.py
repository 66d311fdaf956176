"""The plan of study red-blue: what is done, what is shared, what is refused."""

from collections import Counter

import pytest

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Cell, in_order
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Grid, Options
from epsball.studies.core.planning import make_options
from epsball.studies.red_blue.plan import plan
from epsball.studies.red_blue.study import RED_BLUE

MNIST = DataSummary("mnist", "abc", 60_000, 10_000, (1, 28, 28), 10)


def nets(options: Options) -> list[Cell]:
    return [cell for cell in plan(options, MNIST) if cell.kind == "train"]


def grid(**values: tuple[str | float, ...]) -> Grid:
    return values


def test_the_whole_plan() -> None:
    cells = plan(Options(), MNIST)
    assert Counter(cell.kind for cell in cells) == {
        "train": 54,  # nine penalties, two arms, three seeds
        "judge": 54,
        "strip": 2,
        "search": 2 * (27 + 9),
    }
    assert len(in_order(cells)) == len(cells)
    assert len({cell.seed for cell in cells}) == len(cells)


def test_the_same_question_gives_the_same_cells() -> None:
    # twice, and with more seeds: what is done stays done
    few = {cell.hash for cell in plan(Options(seeds=2), MNIST)}
    assert few == {cell.hash for cell in plan(Options(seeds=2), MNIST)}
    assert few < {cell.hash for cell in plan(Options(seeds=3), MNIST)}


def test_the_path_of_the_images_is_no_part_of_a_cell() -> None:
    one, other = Options(data="npz:/here/a.npz"), Options(data="npz:/there/b.npz")
    assert [c.hash for c in plan(one, MNIST)] == [c.hash for c in plan(other, MNIST)]


def test_their_content_is() -> None:
    changed = DataSummary("mnist", "xyz", 60_000, 10_000, (1, 28, 28), 10)
    a, b = ({c.hash for c in plan(Options(), m)} for m in (MNIST, changed))
    assert not a & b


def test_settings_of_a_repetition_start_from_the_same_weights() -> None:
    seeds = {(n.repeat, n.shared_seed("content", "train_images")) for n in nets(Options())}
    assert len(seeds) == 3


def test_a_grid_replaces_the_parameters_it_names() -> None:
    settings = Options(grid=grid(l1=(0.0, 0.5), arm=("clean",)), seeds=1)
    result = {(net.parameters["l1"], net.parameters["l2"]) for net in nets(settings)}
    assert result == {(l1, l2) for l1 in (0.0, 0.5) for l2 in (0.0, 1e-5, 1e-4)}


def test_the_eps_of_the_examples_is_no_setting_of_the_clean_arm() -> None:
    settings = Options(grid=grid(l1=(0.0,), l2=(0.0,), arm_eps=(0.1, 0.2)), seeds=1)
    result = [(n.parameters["arm"], n.parameters["arm_eps"]) for n in nets(settings)]
    assert result == [("clean", None), ("adversarial", 0.1), ("adversarial", 0.2)]


def test_epochs_may_be_asked_for() -> None:
    assert {n.parameters["epochs"] for n in nets(Options(epochs=1))} == {1}


def test_without_dear_attacks() -> None:
    assert not [c for c in plan(Options(searched=0), MNIST) if c.kind == "search"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("arm=both", "arm must be clean or adversarial, got 'both'"),
        ("dropout=1", "dropout must be in"),
        ("hidden=0", "hidden must be in"),
        ("lr=0", "lr"),
        ("l1=0;depth=3", "unknown parameter of the grid 'depth'"),
    ],
)
def test_a_bad_grid_is_refused_before_anything_is_done(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plan(make_options(RED_BLUE, text, {}), MNIST)


def test_images_that_the_network_cannot_see_are_refused() -> None:
    cifar = DataSummary("cifar10", "abc", 50_000, 10_000, (3, 32, 32), 10)
    with pytest.raises(InvalidInput, match="784 numbers"):
        plan(Options(), cifar)
