"""The visible table of data sources: what `--data` takes."""

from epsball.data.sources import (
    cifar10,
    digits,
    folder,
    image_file,
    imagenet_sample,
    mnist,
    npz,
    table_file,
)
from epsball.data.spec import DataSpec
from epsball.types import Norm

GREY_EPS = (0.1, 0.2, 0.3)  # strokes on black: Madry et al. 2018, arXiv:1706.06083, and MNIST since
SMALL_EPS = (2 / 255, 4 / 255, 8 / 255)  # 8/255 is the field's CIFAR-10 radius
LARGE_EPS = (1 / 255, 4 / 255)  # 4/255 is the field's ImageNet radius
# for grey, small and large images
DEFAULT_EPS: dict[Norm, tuple[tuple[float, ...], ...]] = {
    "linf": (GREY_EPS, SMALL_EPS, LARGE_EPS),
    # RobustBench: 0.5 for CIFAR-10, 3 for ImageNet
    "l2": ((0.5, 1.0, 2.0), (0.25, 0.5, 1.0), (0.5, 1.0, 3.0)),
    # Croce and Hein 2021, arXiv:2103.01208: 12 for CIFAR-10
    "l1": ((2.5, 5.0, 10.0), (3.0, 6.0, 12.0), (15.0, 30.0, 60.0)),
    # entries; Cina et al. 2024, arXiv:2402.01879: 24 and 50, for ImageNet 100 and 150
    "l0": ((8.0, 24.0, 50.0), (10.0, 24.0, 50.0), (50.0, 100.0, 150.0)),
}

_SPECS = (
    DataSpec(
        "digits",
        "UCI optical digits as shipped in scikit-learn, 8x8 resized to 28x28; fixed split",
        digits.load,
        eps=GREY_EPS,
    ),
    DataSpec(
        "mnist",
        "MNIST (LeCun, Cortes, Burges), 28x28; downloaded once, 12 MB",
        mnist.load,
        eps=GREY_EPS,
    ),
    DataSpec(
        "cifar10",
        "CIFAR-10 (Krizhevsky, Nair, Hinton 2009), 32x32 colour; downloaded once, 170 MB",
        cifar10.load,
        eps=SMALL_EPS,
    ),
    DataSpec(
        "imagenet-sample",
        "one ImageNet image a class, 224x224 colour; has no publisher, never downloaded",
        imagenet_sample.load,
        eps=LARGE_EPS,
    ),
    DataSpec(
        "folder:PATH[@SIZE]",
        "your images, one sub-folder a class; @224 scales the shorter side and crops the centre",
        folder.load,
        takes_path=True,
    ),
    DataSpec(
        "npz:PATH",
        "your arrays: images (uint8, or float in [0, 1]), labels, class_names if you like",
        npz.load,
        takes_path=True,
    ),
    DataSpec(
        "table:PATH",
        "a CSV, TSV or Parquet file with a column of paths of images and one of labels",
        table_file.load,
        takes_path=True,
    ),
    DataSpec(
        "image:PATH[@SIZE]",
        "one image file and its class: --label NAME or NUMBER; a path alone will do",
        image_file.load,
        takes_path=True,
        takes_label=True,
    ),
)

DATASETS: dict[str, DataSpec] = {spec.name: spec for spec in _SPECS}
