"""Departures of a study's run from its source. Imports no torch."""

from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

_TITLES = {"mnist": "MNIST", "cifar10": "CIFAR-10"}


def departures(
    options: Options, data: DataSummary, *, name: str, test: int, train: int
) -> tuple[str, ...]:
    """List the departures from a source's images; parameters it leaves unstated do not count.

    Args:
        options: of the study.
        data: facts about the images.
        name: of the source's data: "mnist".
        test: number of its test images.
        train: number of its training images.
    """
    listed = []
    if data.name != name:
        listed.append(f"measured on {data.name}, not on {_TITLES.get(name, name)}")
    elif options.limit is not None and options.limit < test:
        listed.append(f"on {options.limit:,} of {test:,} test images")
    if options.train_limit is not None and options.train_limit < train:
        listed.append(f"trained on {options.train_limit:,} images")
    return tuple(listed)
