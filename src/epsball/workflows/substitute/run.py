"""`epsball substitute`: learn a substitute of an oracle, attack through it, and keep it all."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from epsball.data import choose, default_eps, to_unit
from epsball.errors import InvalidInput
from epsball.evaluation.inputs import Data, open_data
from epsball.evaluation.progress import Progress, Silent
from epsball.evaluation.settings import make_settings
from epsball.files import write_atomically, write_npz
from epsball.identity import model_hash
from epsball.models import load_model
from epsball.oracles.protocol import Ledger, Oracle, check_labels
from epsball.radii import parse_eps
from epsball.tensors import Images, Labels
from epsball.types import Dataset
from epsball.workflows.substitute.learning import Learned, SubstituteSettings, learn_substitute
from epsball.workflows.substitute.scoring import Fooled, directly, through_substitute

DIRECT = ("square", "hopskipjump")


@dataclass(frozen=True)
class SubstituteResult:
    """The result of one architecture.

    Args:
        architecture: of the substitute.
        weights_sha256: of the substitute's weights.
        rounds: queries and agreement after each round.
        fooled: through the substitute, one an attack and eps.
    """

    architecture: str
    weights_sha256: str
    rounds: list[dict[str, Any]]
    fooled: list[Fooled]


@dataclass(frozen=True)
class SubstituteReport:
    """The substitutes of an oracle and how often it is fooled through them.

    Args:
        path: the directory.
        results: one an architecture.
        direct: attacks on the oracle itself, at as many queries.
        clean_accuracy: of the oracle on the scored images.
        scoring: images that the oracle was asked about to score; the learning and the direct
            attacks are not among them.
        ledger: all that the oracle was asked about.
    """

    path: Path
    results: list[SubstituteResult]
    direct: list[Fooled]
    clean_accuracy: float
    scoring: int
    ledger: Ledger


def substitute(
    oracle: Oracle,
    data: Data,
    *,
    out: Path,
    settings: SubstituteSettings,
    seed_images: int = 150,
    architectures: Sequence[str] = ("zoo:base-cnn",),
    attacks: Sequence[str] = ("fgsm", "mifgsm"),
    norm: str = "linf",
    eps: float | str | None = None,
    score: int = 1000,
    direct: Sequence[str] = DIRECT,
    direct_images: int = 100,
    progress: Progress | None = None,
) -> SubstituteReport:
    """Learn substitutes of an oracle and fool the oracle through them.

    Args:
        oracle: returns labels of the classes of data.
        data: see `epsball.audit`; its test images. The first are the seed images, whose labels are
            not used; the next ones are attacked and scored.
        out: directory to be made or continued. Questions are the same in every run, so that an
            oracle with a cache is paid once.
        settings: how a substitute is learned; each architecture is given the whole budget.
        seed_images: the first questions.
        architectures: as `load_model` takes them; fresh weights are used.
        attacks: on the substitute, with settings where wanted.
        norm: of the ball.
        eps: radius, input units; None: the largest that suits the data.
        score: images that are attacked and scored.
        direct: attacks on the oracle itself at as many queries as one substitute was learned with.
        direct_images: images that share these queries.
        progress: is told how far it is.

    Returns:
        The report; it is in out/summary.json too, the substitutes in out/ARCHITECTURE.safetensors,
        and the attacked images in out/attacked.npz, lossless.

    Raises:
        EpsballError: bad input, an oracle that fails or a budget that is spent.
    """
    progress = progress or Silent()
    images = open_data(data)
    _check_counts(settings.queries, seed_images, score, direct_images)
    radius = max(default_eps(images, norm)) if eps is None else eps
    attack_settings = make_settings(list(attacks), norm=norm, eps=[radius])
    for name in sorted(set(direct) - set(DIRECT)):
        raise InvalidInput(f"substitute: direct attacks are {', '.join(DIRECT)}, got {name!r}")
    # questions lie in the ball that is attacked later
    settings = replace(settings, norm=norm, eps=parse_eps(radius))  # type: ignore[arg-type]  # checked there
    seeds, scored, labels = _cut(images, seed_images, score)
    classes = len(images.class_names)
    builders = [_Builder(name, classes, images.shape) for name in architectures]
    for build in builders:
        build()  # a bad name is told before the first question
    progress.begin("asking", settings.queries * len(architectures))
    before = oracle.ledger.paid
    clean = check_labels(oracle(scored), len(scored), classes)
    scoring = oracle.ledger.paid - before
    out.mkdir(parents=True, exist_ok=True)
    results = []
    for build in builders:
        advance = partial(progress.advance, note=build.name)
        learned = learn_substitute(oracle, seeds, build, settings, classes=classes, advance=advance)
        before = oracle.ledger.paid
        fooled = [
            one
            for setting in attack_settings
            for one in through_substitute(
                oracle, learned.model, setting, scored, labels, clean=clean, seed=settings.seed
            )
        ]
        scoring += oracle.ledger.paid - before
        results.append(_save(out, build.name, learned, fooled))
    few = slice(min(direct_images, len(scored)))
    direct_results = [
        directly(
            oracle,
            scored[few],
            labels[few],
            clean=clean[few],
            classes=classes,
            attack=attack,
            eps=attack_settings[0].eps[0],
            norm=norm,
            queries=settings.queries,
            seed=settings.seed,
        )
        for attack in direct
    ]
    accuracy = float((clean == labels).float().mean())
    report = SubstituteReport(out, results, direct_results, accuracy, scoring, oracle.ledger)
    _write(out, report, settings)
    return report


def _check_counts(queries: int, seed_images: int, score: int, direct_images: int) -> None:
    if seed_images < 1 or score < 1 or direct_images < 1:
        raise InvalidInput("substitute: seed_images, score and direct_images must be >= 1")
    if queries < seed_images:
        raise InvalidInput(
            f"substitute: the budget of {queries} queries is smaller than the "
            f"{seed_images} seed images: raise --queries or lower --seed-images"
        )


@dataclass(frozen=True)
class _Builder:
    """Builds an architecture with fresh weights for some classes and images."""

    name: str
    classes: int
    shape: tuple[int, int, int]

    def __call__(self) -> torch.nn.Module:
        """Return the network."""
        model = load_model(self.name, classes=self.classes, require_weights=False).model
        if not isinstance(model, torch.nn.Module):
            raise InvalidInput(f"substitute: {self.name} is no torch module: choose a zoo: model")
        try:
            with torch.no_grad():
                model.eval()(torch.zeros(1, *self.shape))
        except RuntimeError as error:
            raise InvalidInput(
                f"substitute: {self.name} does not take images {self.shape}: choose another with "
                "--architecture"
            ) from error
        return model


def _cut(images: Dataset, seeds: int, score: int) -> tuple[Images, Images, Labels]:
    """Return the seed images, the images that are scored, and the labels of the latter."""
    if seeds + score > len(images):
        raise InvalidInput(
            f"substitute: {seeds} seed images and {score} to be scored are more than the "
            f"{len(images)} images there are: lower --seed-images or --score"
        )
    positions = choose(images.labels, seeds + score)
    pixels = to_unit(images.read(positions))
    return pixels[:seeds], pixels[seeds:], torch.from_numpy(images.labels[positions[seeds:]])


def _save(out: Path, name: str, learned: Learned, fooled: list[Fooled]) -> SubstituteResult:
    stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
    state = {key: value.contiguous() for key, value in learned.model.state_dict().items()}
    write_atomically(out / f"{stem}.safetensors", lambda file: save_file(state, file))
    eight = (learned.images * 255).round().to(torch.uint8).numpy()
    write_npz(out / f"{stem}.npz", {"images": eight, "labels": learned.labels.numpy()})
    rounds = [asdict(one) for one in learned.rounds]
    return SubstituteResult(name, model_hash(learned.model, None), rounds, fooled)


def _write(out: Path, report: SubstituteReport, settings: SubstituteSettings) -> None:
    content = asdict(replace(report, path=Path(out.name))) | {"settings": asdict(settings)}
    text = json.dumps(content, indent=2, default=str) + "\n"
    write_atomically(out / "summary.json", lambda file: file.write_text(text))
