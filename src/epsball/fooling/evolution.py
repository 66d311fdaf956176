"""Fooling images by evolution: MAP-Elites, one niche for each class, then one class at a time."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.fooling.encodings import ENCODINGS, Encoding, Shape
from epsball.fooling.result import Advance, Fooling, to_levels
from epsball.models.loading.request import optional
from epsball.tensors import Classifier, Labels

_LEAST = 1e-300  # probability whose logarithm is finite
_ALONE_GENES = 2000  # an evolution strategy learns a variance for each gene from few children
_TOGETHER = 0.4  # of the images, for all classes together; the others for each class alone
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
    for one class may win another. With at most 2,000 genes, this takes 0.4 of the images; the
    others are divided among the targets that are not reached yet, the nearest first: from its
    elite an evolution strategy (sep-CMA-ES) climbs the logarithm of the target's probability.

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
        arXiv:1504.04909; Ros and Hansen 2008 (sep-CMA-ES), as emitters of MAP-Elites: Fontaine et
        al. 2020, arXiv:1912.02400. Archive and strategy are pyribs'. Departure: the strategies
        climb one class each, and begin when the common search ends.
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
    shown_images = 0

    def show(genomes: Tensor) -> Tensor:
        """Let genomes compete, and return their probabilities (n, k), float64."""
        nonlocal shown_images
        images = to_levels(coding.images(genomes))
        with torch.no_grad():
            probabilities = model(images.to(targets.device)).double().softmax(1).cpu()
        archive.offer(genomes, probabilities)
        shown_images += len(genomes)
        advance(len(genomes))
        return probabilities

    alone = coding.genes <= _ALONE_GENES
    together = max(population, int(evaluations * (_TOGETHER if alone else 1)))
    genomes = coding.first(population, generator)
    while True:
        show(genomes)
        done = bool((archive.confidence(targets) >= confidence).all())
        if done or shown_images + population > together:
            break
        genomes = coding.mutated(archive.parents(population, generator), generator)
    open_targets = [] if done or not alone else _open_targets(archive, targets, confidence)
    for number, target in enumerate(open_targets):
        share = (evaluations - shown_images) // (len(open_targets) - number)
        climb = partial(_climb, sigma=coding.spread, population=population, seed=seed + number)
        climb(show, archive, target, confidence=confidence, generations=share // population)
    best = archive.genomes(targets)
    queries = torch.full((len(targets),), shown_images)
    return Fooling(
        to_levels(coding.images(best)), targets.cpu(), archive.confidence(targets), queries
    )


def _open_targets(archive: "_Archive", targets: Labels, confidence: float) -> list[int]:
    """Return the targets whose elite is below a confidence, the highest first."""
    classes = torch.unique(targets.cpu())
    known = archive.confidence(classes)
    order = known.argsort(descending=True, stable=True)
    return [int(classes[row]) for row in order if known[row] < confidence]


def _climb(
    show: Callable[[Tensor], Tensor],
    archive: "_Archive",
    target: int,
    *,
    confidence: float,
    generations: int,
    sigma: float,
    population: int,
    seed: int,
) -> None:
    """Climb the log-probability of a class from its elite; start again there where it stops."""
    strategies = optional("ribs.emitters.opt", extra="fooling", needed_by="fool --by evolution")
    row = torch.tensor([target])
    strategy = None
    for generation in range(generations):
        if float(archive.confidence(row)) >= confidence:
            return
        if strategy is None:
            start = archive.genomes(row)[0].double().numpy()
            strategy = strategies.SeparableCMAEvolutionStrategy(
                sigma0=sigma, solution_dim=len(start), batch_size=population,
                seed=seed + generation, lower_bounds=-np.inf, upper_bounds=np.inf,
            )  # fmt: skip
            strategy.reset(start)
        children = torch.from_numpy(np.array(strategy.ask())).float()
        values = show(children)[:, target].clamp_min(_LEAST).log().numpy()
        ranking = np.argsort(-values, kind="stable")
        if strategy.check_stop(values[ranking]):
            strategy = None
        else:
            strategy.tell(ranking, values, max(1, population // 2))


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
