"""The plan of study adversarial-training."""

from collections import Counter

import pytest

from epsball.errors import InvalidInput
from epsball.studies.adversarial_training.plan import plan
from epsball.studies.adversarial_training.study import ADVERSARIAL_TRAINING
from epsball.studies.adversarial_training.trainings import TRAININGS
from epsball.studies.core.cell import Cell, in_order
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.core.planning import make_options

MNIST = DataSummary("mnist", "abc", 60_000, 10_000, (1, 28, 28), 10)
CIFAR = DataSummary("cifar10", "abc", 50_000, 10_000, (3, 32, 32), 10)


def nets(options: Options, data: DataSummary = MNIST) -> dict[str, Cell]:
    cells = plan(options, data)
    return {str(c.parameters["row"]): c for c in cells if c.kind == "train" and c.repeat == 0}


def test_the_whole_plan() -> None:
    cells = plan(Options(seeds=2), MNIST)
    count = 2 * len(TRAININGS)
    assert Counter(cell.kind for cell in cells) == {
        "train": count + 2 * 3,  # the two static sources and the held-out model
        "examples": 2,
        "judge": count,
        "transfer": count,
        "search": 3 * count,
        "slopes": 2,
        "levels": 2,
    }
    assert len(in_order(cells)) == len(cells)


def test_recipes_that_need_other_models_wait_for_them() -> None:
    networks = nets(Options(seeds=1))
    assert networks["offline"].needs == (networks["source-0"].hash,)
    assert networks["ensemble"].needs == (networks["source-0"].hash, networks["source-1"].hash)
    assert not networks["pgd"].needs
    cells = {cell.hash: cell for cell in plan(Options(seeds=1), MNIST)}
    result = {cells[c.needs[1]].needs for c in cells.values() if c.kind == "transfer"}
    assert result == {(networks["held-out"].hash,)}


def test_the_held_out_model_is_no_source_and_no_row() -> None:
    networks = nets(Options(seeds=1))
    kept = networks.pop("held-out")
    assert kept.seed not in {cell.seed for cell in networks.values()}
    assert all(kept.hash not in cell.needs for cell in networks.values())


def test_rows_of_one_width_start_from_the_same_weights() -> None:
    networks = nets(Options(seeds=1))

    def seed(name: str) -> int:
        return networks[name].shared_seed("content", "train_images", "width")

    assert seed("none") == seed("pgd") == seed("fgsm-mix")
    assert seed("fgsm-mix-wide") != seed("fgsm-mix")


def test_only_rows_that_are_asked_for_and_what_they_need() -> None:
    some = make_options(ADVERSARIAL_TRAINING, "row=none,offline,trades;eps=0.2", {"seeds": 1})
    networks = nets(some)
    assert set(networks) == {"held-out", "source-0", "none", "offline", "trades"}
    assert networks["trades"].parameters["train_eps"] == 0.2
    assert "train_eps" not in networks["none"].parameters


def test_cifar10_gets_its_own_network_and_eps() -> None:
    pgd = nets(Options(seeds=1), CIFAR)["pgd"]
    assert (pgd.parameters["model"], pgd.parameters["train_eps"]) == ("vgg-cifar", 8 / 255)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("row=pdg", "did you mean 'pgd'"),
        ("row=source-0", "unknown row"),
        ("eps=0.1,0.2", "one eps at a time"),
        ("eps=2", "eps"),
    ],
)
def test_a_bad_grid_is_refused_before_anything_is_done(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plan(make_options(ADVERSARIAL_TRAINING, text, {}), MNIST)


def test_images_without_a_network_are_refused() -> None:
    large = DataSummary("folder", "abc", 10, 10, (3, 224, 224), 2)
    with pytest.raises(InvalidInput, match="take mnist, cifar10 or digits"):
        plan(Options(), large)
