import numpy as np
import pytest

from epsball.errors import InvalidInput
from epsball.studies.confidence_bands.bands import SOURCE, bands_of, members, parse_bands

SURE = np.array([0.05, 0.15, 0.29, 0.3, 1.0])


def test_the_bands_of_the_source_include_their_lower_border() -> None:
    low, medium, high = bands_of(SURE, SOURCE)
    assert [members(band, SURE, 0).tolist() for band in (low, medium, high)] == [
        [0],
        [1, 2],
        [3, 4],
    ]
    assert high.name == "high"


def test_quantiles_hold_equal_numbers() -> None:
    sure = np.random.default_rng(0).uniform(size=300)
    assert [len(members(band, sure, 0)) for band in bands_of(sure, "quantiles:4")] == [75] * 4


def test_equal_numbers_are_the_first_images() -> None:
    _, medium, _ = bands_of(SURE, SOURCE)
    assert members(medium, SURE, 1).tolist() == [1]
    with pytest.raises(InvalidInput, match="per_band=3: band medium holds 2"):
        members(medium, SURE, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.3/0.15", r"must not overlap or be empty.*write 0\.15/0\.3"),
        ("0.3/0.3", "must not overlap"),
        ("0/0.5", "between 0 and 1"),
        ("low/high", "rising borders"),
        ("quantiles:1", "at least 2"),
        ("quantiles:x", "rising borders"),
    ],
)
def test_bad_bands_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_bands(text)


def test_an_empty_band_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no image has a clean confidence in \[0\.3, 0\.6\)"):
        bands_of(np.array([0.1, 0.2, 0.9]), "0.3/0.6")
