"""The parameters of the study, and how its rows are to be read. Imports no torch."""

from collections.abc import Mapping

from epsball.studies.confidence_bands.bands import SOURCE
from epsball.studies.core.cell import Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

KNOWN: Mapping[str, Plain] = {
    "model": "zoo:squeezenet",
    "weights": "",
    "reference": "least_likely",
    "scale": "log-softmax",
    "eps": 4 / 255,
    "steps": 10,
    "stride": 2.5,  # the step size is stride * eps / steps
    "precision": "fast",  # of the gradients; scores are float32
    # what follows changes no cell, only how its rows are read
    "bands": SOURCE,
    "per_band": 0,
    "k": 5,
    "hierarchy": "auto",
}
READING = ("bands", "per_band", "k", "hierarchy")
_IMAGENET = 1000  # classes


def reading_of(options: Options, data: DataSummary) -> dict[str, Plain]:
    """Return how the rows are to be read: bands, per_band, k and hierarchy."""
    reading = {name: options.grid.get(name, (KNOWN[name],))[0] for name in READING}
    if reading["hierarchy"] == "auto":
        imagenet = data.name == "imagenet-sample" or data.classes == _IMAGENET
        reading["hierarchy"] = "wordnet" if imagenet else "confusion"
    return reading
