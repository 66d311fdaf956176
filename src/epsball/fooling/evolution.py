"""Fooling images by evolution: MAP-Elites, one niche for each class."""

import numpy as np
import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.fooling.encodings import ENCODINGS, Encoding, Shape
from epsball.fooling.result import Advance, Fooling, to_levels
from epsball.models.loading.request import optional
from epsball.tensors import Classifier, Labels

_ALL_NICHES = 20_000_000  # numbers of an archive; where it would hold more, only targets have one


def evolve(
    model: Classifier,
    targets: Labels,
    *,
    classes: int,
    shape: Shape,
    encoding: str = "cppn",
    confidence: float = 0.99,
    evaluations: int = 20_000,
    population: int = 64,
    seed: int = 0,
    advance: Advance = lambda _: None,
) -> Fooling:
    """Breed images that the model names with confidence, from its probabilities alone.

    Every class is a niche that keeps the image with the highest probability of that class. Each
    generation mutates random elites, and every child competes in all niches, so that what was bred
    for one class may win another.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k).
        targets: (n,), int64, the classes that are wanted.
        classes: k.
        shape: (c, h, w) of the images.
        encoding: "cppn", smooth patterns drawn by a small network, or "direct", single pixels.
        confidence: the search ends where every target has this probability, in (0, 1).
        evaluations: the most images that are shown to the model.
        population: children of a generation.
        seed: of everything random.
        advance: told the number of images after every generation.

    Returns:
        The best image for each target, rounded to 8 bits, and its confidence.

    Raises:
        InvalidInput: an argument breaks its rule.

    Source: Nguyen et al. 2015, arXiv:1412.1897, section 2; MAP-Elites: Mouret and Clune 2015,
        arXiv:1504.04909; the archive is pyribs'.
    """
    if encoding not in ENCODINGS:
        raise InvalidInput(f"fool: encoding must be cppn or direct, got {encoding!r}")
    if evaluations < population or population < 1:
        raise InvalidInput(
            f"fool: evaluations must be at least population and population at least 1, got "
            f"{evaluations} and {population}"
        )
    generator = torch.Generator().manual_seed(seed)
    coding: Encoding = ENCODINGS[encoding](shape)
    niches = np.arange(classes)
    if classes * coding.genes > _ALL_NICHES:
        niches = np.unique(targets.cpu().numpy())
    archive = _Archive(niches, coding.genes)
    genomes, shown_images = coding.first(population, generator), 0
    while True:
        images = to_levels(coding.images(genomes))
        with torch.no_grad():
            probabilities = model(images.to(targets.device)).double().softmax(1).cpu()
        archive.offer(genomes, probabilities)
        shown_images += len(genomes)
        advance(len(genomes))
        done = bool((archive.confidence(targets) >= confidence).all())
        if done or shown_images + population > evaluations:
            break
        genomes = coding.mutated(archive.parents(population, generator), generator)
    best = archive.genomes(targets)
    queries = torch.full((len(targets),), shown_images)
    return Fooling(
        to_levels(coding.images(best)), targets.cpu(), archive.confidence(targets), queries
    )


class _Archive:
    """The elites: for each class the genome with the highest probability of it.

    Args:
        niches: (m,), the classes that have one.
        genes: length of a genome.
    """

    def __init__(self, niches: np.ndarray[tuple[int], np.dtype[np.int64]], genes: int) -> None:
        archives = optional("ribs.archives", extra="fooling", needed_by="fool --by evolution")
        self._niches = niches
        self._elites = archives.CategoricalArchive(
            solution_dim=genes, categories=[niches.tolist()], solution_dtype=np.float32
        )

    def offer(self, genomes: Tensor, probabilities: Tensor) -> None:
        """Let the best of some genomes compete in every niche.

        Args:
            genomes: (n, genes).
            probabilities: (n, k), float64.
        """
        best, rows = probabilities[:, self._niches].max(0)
        self._elites.add(
            genomes[rows].numpy(), best.numpy(), np.array(self._niches, dtype=object)[:, None]
        )

    def parents(self, count: int, generator: torch.Generator) -> Tensor:
        """Return elites drawn at random, (count, genes)."""
        elites = torch.from_numpy(np.asarray(self._elites.data("solution"), np.float32))
        return elites[torch.randint(len(elites), (count,), generator=generator)]

    def genomes(self, targets: Tensor) -> Tensor:
        """Return the elites of classes, (n, genes)."""
        return torch.from_numpy(np.asarray(self._of(targets)["solution"], np.float32))

    def confidence(self, targets: Tensor) -> Tensor:
        """Return the probabilities of the elites of classes, (n,), float64."""
        return torch.from_numpy(np.asarray(self._of(targets)["objective"], np.float64))

    def _of(self, targets: Tensor) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
        descriptors = np.array(targets.cpu().tolist(), dtype=object)[:, None]
        _, elites = self._elites.retrieve(descriptors)
        return dict(elites)
