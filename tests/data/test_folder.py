import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from epsball.data import choose, load_data
from epsball.data.sources import folder

MakeImage = Callable[..., Path]
Refusal = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path, make_image: MakeImage) -> Path:
    """Three images of 6x5 in two classes."""
    for name in ("hen/b.png", "hen/a.PNG", "cat/x.png"):
        make_image(tmp_path / "pics" / name)
    return tmp_path / "pics"


def _pixels(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(file) as opened:
        return np.asarray(opened.convert("RGB")).transpose(2, 0, 1)


def test_one_class_a_folder_in_alphabetical_order(root: Path) -> None:
    loaded = load_data(f"folder:{root}")
    assert loaded.name == f"folder:{root}"
    assert loaded.class_names == ("cat", "hen")
    assert loaded.labels.tolist() == [0, 1, 1]
    assert loaded.shape == (3, 5, 6)
    files = [root / "cat/x.png", root / "hen/a.PNG", root / "hen/b.png"]
    for rows in ([0, 1, 2], [2, 0, 2, 1], [1]):
        pixels = loaded.read(np.array(rows))
        assert pixels.dtype == np.uint8
        assert (pixels == np.stack([_pixels(files[row]) for row in rows])).all()
    assert choose(loaded.labels, 2).tolist() in ([0, 1], [0, 2])  # sorted: hence stratified


def test_nothing_is_decoded_before_it_is_read(root: Path, refusal: Refusal) -> None:
    file = root / "hen/b.png"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])  # the header is whole
    loaded = load_data(f"folder:{root}")
    loaded.read(np.array([0, 1]))
    assert f"{file} does not decode" in refusal(loaded.read, np.array([1, 2]))


@pytest.mark.parametrize("name", [".hidden.png", "notes.txt", ".git/x.png", "Thumbs.db"])
def test_hidden_and_other_files_are_skipped(name: str, root: Path) -> None:
    for place in (root, root / "hen"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(b"no image")
    assert load_data(f"folder:{root}").class_names == ("cat", "hen")
    assert len(load_data(f"folder:{root}")) == 3


def test_deeper_folders_belong_to_their_class(root: Path, make_image: MakeImage) -> None:
    make_image(root / "cat" / "tabby" / "y.png")
    assert load_data(f"folder:{root}").labels.tolist() == [0, 0, 1, 1]


def test_mixed_sizes_are_refused_on_loading(
    root: Path, make_image: MakeImage, refusal: Refusal
) -> None:
    odd = make_image(root / "hen" / "c.png", size=(9, 4))
    message = refusal(load_data, f"folder:{root}")
    first = root / "cat/x.png"
    assert all(part in message for part in (f"{odd} of 9x4", f"{first} of 6x5", f"folder:{root}@5"))


def test_mixed_sizes_are_refused_at_the_latest_on_reading(
    root: Path, make_image: MakeImage, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_MOST_PROBES", 2)  # the first and the last
    odd = make_image(root / "hen" / "aa.png", size=(9, 4))
    loaded = load_data(f"folder:{root}")
    loaded.read(np.array([0, 1, 3]))
    message = refusal(loaded.read, np.array([1, 2]))
    assert f"{odd} of 9x4" in message
    assert f"{root / 'cat/x.png'} of 6x5" in message


def test_size_scales_the_shorter_side_and_crops_the_centre(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    # three squares side by side, and one above the other: the middle one stays
    for name, axis in (("a", 1), ("b", 0)):
        bands = [np.full((12, 12, 3), level, np.uint8) for level in (250, 100, 0)]
        Image.fromarray(np.concatenate(bands, axis)).save(tmp_path / "only" / f"{name}.png")
    loaded = load_data(f"folder:{tmp_path}@8")
    assert loaded.name == f"folder:{tmp_path}@8"
    pixels = loaded.read(np.arange(2))
    assert loaded.shape == pixels.shape[1:] == (3, 8, 8)
    assert (pixels[:, :, 2:-2, 2:-2] == 100).all()


def test_size_of_the_image_itself_changes_nothing(root: Path, make_image: MakeImage) -> None:
    file = make_image(root / "cat" / "a.png", size=(5, 5))
    loaded = load_data(f"folder:{root}@5")
    assert (loaded.read(np.array([0]))[0] == _pixels(file)).all()


@pytest.mark.parametrize("size", ["0", "4097", "99999999999999999999"])
def test_size_out_of_range_is_refused(size: str, root: Path, refusal: Refusal) -> None:
    assert "a size from 1 to 4096" in refusal(load_data, f"folder:{root}@{size}")


def test_folder_with_an_at_sign_is_found(root: Path) -> None:
    moved = root.rename(root.with_name("me@home"))
    assert len(load_data(f"folder:{moved}")) == 3
    moved = moved.rename(root.with_name("pics@5"))
    assert load_data(f"folder:{moved}").shape == (3, 5, 6)
    assert load_data(f"folder:{moved}@2").shape == (3, 2, 2)


def test_classes_file_orders_and_names(root: Path) -> None:
    (root / "classes.txt").write_text("owl\nhen\tgallus gallus\n cat \n\n", encoding="utf-8")
    loaded = load_data(f"folder:{root}")
    assert loaded.class_names == ("owl", "gallus gallus", "cat")
    assert loaded.labels.tolist() == [1, 1, 2]
    assert (loaded.read(np.array([2]))[0] == _pixels(root / "cat/x.png")).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"hen\n", "found 'cat' on disk but not in it"),
        (b"hen\ncat\nhen\n", "line 3 repeats 'hen'"),
        (b"hen\n\ncat\n", "line 2 is empty"),
        (b"hen\nc\xe4t\n", "must be UTF-8"),
    ],
)
def test_wrong_classes_file_is_refused(
    text: bytes, message: str, root: Path, refusal: Refusal
) -> None:
    (root / "classes.txt").write_bytes(text)
    assert message in refusal(load_data, f"folder:{root}")


def test_a_list_of_classes_may_lie_in_a_split(
    tmp_path: Path, make_image: MakeImage, refusal: Refusal
) -> None:
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            make_image(tmp_path / split / name / "a.png")
    (tmp_path / "test" / "classes.txt").write_text("bee\nant\n")
    for split in ("train", "test"):  # both splits number classes alike
        loaded = load_data(f"folder:{tmp_path}", split=split)  # type: ignore[arg-type]  # a split's name
        assert (loaded.class_names, loaded.order) == (("bee", "ant"), "stated")
    (tmp_path / "train" / "classes.txt").write_text("ant\nbee\n")
    assert "list other classes: put one list into" in refusal(load_data, f"folder:{tmp_path}")
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    assert load_data(f"folder:{tmp_path}").class_names == ("ant", "bee")


def test_one_grey_image_leaves_the_others_their_colours(
    tmp_path: Path, make_image: MakeImage
) -> None:
    make_image(tmp_path / "ant/a.png", mode="L")
    red = make_image(tmp_path / "bee/b.png")
    loaded = load_data(f"folder:{tmp_path}")
    assert loaded.shape[0] == 3
    images = loaded.read(np.array([0, 1]))
    assert (images[0, 0] == images[0, 2]).all()
    assert (images[1] == _pixels(red)).all()


@pytest.mark.parametrize(
    ("train", "test"),
    [
        *(("train", "valid"), ("training", "testing"), ("Train", "Test"), ("TRAIN_SET", "val_set")),
        *(
            ("trainset", "testset"),
            ("train_images", "test-images"),
            ("train1", "dev"),
            ("train", "Validate"),
        ),
    ],
)
def test_splits_of_every_usual_name_are_no_classes(
    train: str, test: str, tmp_path: Path, make_image: MakeImage
) -> None:
    for split in (train, test):
        for name in ("ant/a.png", "bee/b.png"):
            make_image(tmp_path / split / name)
    loaded = load_data(f"folder:{tmp_path}")
    assert loaded.class_names == ("ant", "bee")
    assert (loaded.read(np.array([1]))[0] == _pixels(tmp_path / test / "bee/b.png")).all()


@pytest.mark.parametrize("only", ["val", "Validation", "test", "train"])
def test_a_single_split_is_no_class(only: str, tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("ant/a.png", "bee/b.png"):
        make_image(tmp_path / only / name)
    assert load_data(f"folder:{tmp_path}").class_names == ("ant", "bee")


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_train_and_test_folders_are_splits_with_common_classes(
    test: str, tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("train/ant/a.png", "train/bee/b.png", "train/bee/c.png"):
        make_image(tmp_path / name)
    for name in ("bee/d.png", "cow/e.png"):
        make_image(tmp_path / test / name)
    train = load_data(f"folder:{tmp_path}", split="train")
    held_out = load_data(f"folder:{tmp_path}")
    assert train.class_names == held_out.class_names == ("ant", "bee", "cow")
    assert train.labels.tolist() == [0, 1, 1]
    assert held_out.labels.tolist() == [1, 2]
    assert (held_out.read(np.array([1]))[0] == _pixels(tmp_path / test / "cow/e.png")).all()


def test_classes_may_be_called_train_and_test(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("train/a.png", "test/b.png", "bus/c.png"):
        make_image(tmp_path / name)
    loaded = load_data(f"folder:{tmp_path}")
    assert loaded.class_names == ("bus", "test", "train")


def test_unsplit_folder_gives_the_same_for_both(root: Path) -> None:
    train, test = (load_data(f"folder:{root}", split="train"), load_data(f"folder:{root}"))
    assert (train.read(np.arange(3)) == test.read(np.arange(3))).all()


def test_empty_class_is_refused(root: Path, refusal: Refusal) -> None:
    (root / "dog").mkdir()
    (root / "dog" / "notes.txt").write_text("none yet")
    assert f"class folder {root / 'dog'} holds no image" in refusal(load_data, f"folder:{root}")


def test_folder_without_classes_is_refused(root: Path, refusal: Refusal) -> None:
    assert "one sub-folder a class, found none" in refusal(load_data, f"folder:{root / 'hen'}")


def test_missing_folder_is_refused(root: Path, refusal: Refusal) -> None:
    assert f"folder:{root}/no must be a folder" in refusal(load_data, f"folder:{root}/no")
    assert "must be a folder" in refusal(load_data, f"folder:{root}/no@224")
    assert "must be a folder" in refusal(load_data, f"folder:{root}/cat/x.png")


def test_file_that_is_no_image_is_named(root: Path, refusal: Refusal) -> None:
    file = root / "hen" / "a.PNG"
    file.write_text("surprise")
    assert f"{file} is not an image" in refusal(load_data, f"folder:{root}")


def test_folder_that_vanishes_is_named(root: Path, refusal: Refusal) -> None:
    loaded = load_data(f"folder:{root}")
    shutil.rmtree(root)
    assert str(root / "cat/x.png") in refusal(loaded.read, np.array([0]))


def test_memory_stays_with_the_batch(root: Path) -> None:
    """Nothing of what was read is kept: what the reader holds does not grow."""
    import tracemalloc

    loaded = load_data(f"folder:{root}@256")
    loaded.read(np.arange(3))
    tracemalloc.start()
    for _ in range(5):
        loaded.read(np.arange(3))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak > 3 * 3 * 256 * 256  # one batch was there
    assert kept < 3 * 256 * 256  # not even one image stays


def test_several_bad_files_are_named_at_once(root: Path, refusal: Refusal) -> None:
    loaded = load_data(f"folder:{root}")
    for name in ("cat/x.png", "hen/b.png"):
        file = root / name
        file.write_bytes(file.read_bytes()[:60])
    message = refusal(loaded.read, np.array([1, 2]))
    assert f"2 images of folder:{root} do not decode (cat/x.png, hen/b.png): replace" in message


def test_several_files_that_are_no_images_are_named_at_once(root: Path, refusal: Refusal) -> None:
    for name in ("cat/x.png", "hen/b.png"):
        (root / name).write_text("no image")
    message = refusal(load_data, f"folder:{root}")
    assert f"2 images of folder:{root} do not decode (cat/x.png, hen/b.png): replace" in message


def test_what_an_archive_of_macos_adds_is_no_class(root: Path) -> None:
    (root / "__MACOSX").mkdir()
    assert load_data(f"folder:{root}").class_names == ("cat", "hen")


def test_a_list_of_classes_may_begin_with_a_byte_order_mark(root: Path) -> None:
    (root / "classes.txt").write_text("hen\ncat\n", encoding="utf-8-sig")
    assert load_data(f"folder:{root}").class_names == ("hen", "cat")
