"""A model that names its classes in an order of its own; folders come in that of the alphabet."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from epsball.data import load_data, part_of, to_unit
from epsball.errors import InvalidInput
from epsball.evaluation.class_matching import names_of_labels
from epsball.evaluation.inputs import sample_of
from epsball.evaluation.subject import open_model
from epsball.types import Dataset
from epsball.workflows.defend import defend
from epsball.workflows.fool import fool
from epsball.workflows.sheet import make_sheet
from epsball.workflows.substitute.opening import local_oracle
from epsball.workflows.worth import worth_of

ORDER = ("zebra", "ant", "mole")  # red, green, blue
IMAGES = 12  # of a class


class Brightest(nn.Module):
    """The class of the brightest of three colours."""

    class_names = ORDER

    def __init__(self) -> None:
        super().__init__()
        self.colours = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(3, 3)
        nn.init.eye_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = 40 * self.head(self.colours(images))
        return scores


def brightest() -> nn.Module:
    return Brightest().eval()


finished = Brightest()  # in train mode
SPEC = f"{__name__}:brightest"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    root, drawn = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for channel, name in enumerate(ORDER):
        (root / name).mkdir()
        for number in range(IMAGES):
            pixels = drawn.integers(90, 110, (8, 8, 3)).astype(np.uint8)
            pixels[..., channel] += 20
            Image.fromarray(pixels).save(root / name / f"{number:02d}.png")
    return f"folder:{root}"


def test_a_sheet_names_its_pairs(folder: str, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    sheet = make_sheet(SPEC, folder, out=tmp_path / "sheet", attack="fgsm", eps=0.2, count=3)
    names = [sheet.class_names[pair.label] for pair in sheet.pairs]
    assert names == [sorted(ORDER)[pair.index // IMAGES] for pair in sheet.pairs]


def test_fooling_climbs_the_class_that_was_named(folder: str, tmp_path: Path) -> None:
    for number, data in enumerate((folder, None)):
        out = tmp_path / str(number)
        fooling = fool(SPEC, ["zebra"], out=out, data=data, steps=5, step_size=0.1)
        assert fooling.fooling.targets.tolist() == [0]
        assert int(fooling.fooling.images[0].mean((1, 2)).argmax()) == 0


def test_labels_that_are_served_have_the_names_of_the_model(folder: str) -> None:
    data = load_data(folder)
    subject = open_model(SPEC, sample_of(data, 2)[0], "cpu")
    assert names_of_labels(subject, data) == ORDER
    with pytest.raises(InvalidInput, match="names 10 classes and brightest has 3"):
        names_of_labels(subject, load_data("digits"))


def test_an_oracle_and_its_images_agree(folder: str) -> None:
    oracle, data = local_oracle(SPEC, load_data(folder), None)
    assert torch.equal(oracle(pixels(data)), torch.from_numpy(data.labels))
    with pytest.raises(InvalidInput, match="train mode"):
        local_oracle(f"{__name__}:finished", data, None)


def test_a_defence_learns_the_classes_of_the_model(folder: str, tmp_path: Path) -> None:
    data = load_data(folder, split="train")
    fitted = defend(SPEC, data, out=tmp_path / "nr", defence="nr", layers=["head"], threshold=0.01)
    worth = worth_of(fitted, load_data(folder))
    assert (worth.bare, worth.named) == (1, 1)
    answers = fitted.rejector(pixels(fitted.data))[:, :3].argmax(1)
    assert torch.equal(answers, fitted.rejector.model(pixels(fitted.data)).argmax(1))


def test_test_images_that_the_fit_used_do_not_count(folder: str, tmp_path: Path) -> None:
    data = load_data(folder, split="train")
    turned = np.arange(len(data))[::-1]
    fitted = defend(SPEC, data, out=tmp_path / "nr", defence="nr", layers=["head"], threshold=0.01)
    seen = worth_of(fitted, part_of(load_data(folder), turned))
    assert (seen.images, seen.seen) == (len(data), "fit")
    some = part_of(data, np.arange(0, len(data), 2))
    fitted = defend(
        SPEC, some, out=tmp_path / "half", defence="nr", layers=["head"], threshold=0.01
    )
    half = worth_of(fitted, part_of(load_data(folder), turned))
    assert (half.images, half.seen) == (len(data) // 2, "test")


def pixels(data: Dataset) -> Tensor:
    return to_unit(data.read(np.arange(len(data))))
