"""Walks along a model's border by nothing but the classes that it names."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from epsball.attacks.black_box.labels_only import LabelAsker, find_starts
from epsball.attacks.black_box.sampling import pieces, repeated, streams_of
from epsball.attacks.core.asking import all_rows
from epsball.attacks.core.checks import check_call, of_images
from epsball.attacks.core.validated import validated
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import per_row, project, size, steepest
from epsball.randomness import Randomness, normal, uniform
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("l2", "linf")
_REACH = 0.2  # l2 length of a probe, as a share of that of the perturbation
_HALVINGS = 10  # of a step that leads back over the border
# halvings of a line; after more, the last bits of scores would decide who is fooled
_COARSEST, _FINEST = 10, 14


@validated
@of_images
def hopskipjump(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    norm: Norm = "l2",
    queries: int = 5000,
    samples: int = 100,
    starts: Images | None = None,
    targets: Labels | None = None,
    generator: Randomness = None,
) -> Images:
    """Find the nearest fooling image of a model that says only which class it sees.

    Args:
        model: maps (n, c, h, w) in [0, 1] to scores (n, k), of which only the argmax steers; a
            lead so small that rounding may undo it counts where there is no other.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        norm: "l2" or "linf"; what nearest means.
        queries: images the model may be shown for each image, at least 1, the clean one and the
            search for a start included.
        samples: directions that are probed for the first step; the root of t times as many for
            step t.
        starts: (n, c, h, w), float, in [0, 1]: images to begin with, of another class or of the
            target's; None, and where one does not fool: noise is tried until it does. A model that
            rejects noise needs starts that it accepts: an audit gives it clean images.
        targets: (n,), int64; the classes to reach; None: any class but the label. Noise seldom
            finds one class of many: give starts.
        generator: source of noise and directions; torch's global one when None.

    Returns:
        (n, c, h, w) in [0, 1]: of all points seen, the nearest in norm that fools the model; the
        clean image where none does, or where it is wrong already.

    Raises:
        InvalidInput: an argument breaks its rule.
        UnsupportedNorm: norm is neither l2 nor linf.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([[[[0.75, 0.25]]]]), torch.tensor([0])
        >>> adversarial = hopskipjump(torch.nn.Flatten(), x, y, queries=500)
        >>> 0.353 < (adversarial - x).norm().item() < 0.37
        True

    Source: Chen, Jordan and Wainwright 2020, arXiv:1904.02144, algorithms 1 and 2. Departures: the
    nearest point seen is returned, probes included; noise comes in several grains and strengths,
    so that a model that sees the label in plain noise has a start as well; probes are a fifth as
    long as the perturbation (source: 0.1, then its length over the number of pixels), which costs
    nothing on smooth models and sees through rounded inputs; where all get one answer no step is
    made; a step is halved ten times at most, a line ten to fourteen times.
    """
    check_call(
        "hopskipjump", inputs, labels, targets, eps=None, norm=norm, norms=NORMS, queries=queries
    )
    _check(inputs, samples, starts)
    clean = inputs.detach()
    asker = LabelAsker(model, clean, labels, targets, norm=norm, queries=queries)
    with torch.no_grad():
        rows = all_rows(clean)
        rows = rows[~asker.ask(clean[:, None], rows)[1][:, 0]]
        rows, points = find_starts(asker, rows, starts, generator)
        walk = _Walk(rows, clean[rows], points, streams_of(generator, rows))
        number = 1
        while len(walk.rows):
            walk = _to_border(asker, walk)
            # a jump that cannot come back to the border is not begun
            walk = walk.of(asker.left[walk.rows] > 1 + _lines(walk, norm))
            walk = _jump(asker, walk, samples, number) if len(walk.rows) else walk
            number += 1
    return asker.nearest


def _check(inputs: Tensor, samples: int, starts: Tensor | None) -> None:
    if samples < 1:
        raise InvalidInput(f"hopskipjump: samples must be >= 1, got {samples}")
    if starts is None:
        return
    if starts.shape != inputs.shape or starts.dtype != inputs.dtype:
        raise InvalidInput(
            f"hopskipjump: starts must be like inputs, {inputs.dtype} of shape "
            f"{tuple(inputs.shape)}, got {starts.dtype} of shape {tuple(starts.shape)}"
        )
    if starts.numel() and not (float(starts.min()) >= 0 and float(starts.max()) <= 1):
        raise InvalidInput(
            f"hopskipjump: starts must be in [0, 1], "
            f"got {float(starts.min()):.3g} to {float(starts.max()):.3g}; divide by 255"
        )


@dataclass(frozen=True)
class _Walk:
    """Where every image stands that has queries left."""

    rows: Tensor  # (m,), their places in the batch
    clean: Tensor  # (m, c, h, w)
    point: Tensor  # (m, c, h, w), fools the model
    streams: Randomness

    def of(self, going: Tensor) -> "_Walk":
        """Return the walk of the images for which going, (m,) bool, is true."""
        chosen = going.nonzero()[:, 0]
        return _Walk(
            self.rows[chosen],
            self.clean[chosen],
            self.point[chosen],
            streams_of(self.streams, chosen),
        )


def _lines(walk: _Walk, norm: Norm) -> int:
    """Return how often a line to the clean image is halved: until it is fine enough to probe."""
    pixels = walk.clean.shape[1:].numel()
    fine = math.ceil(math.log2(pixels) * (1.5 if norm == "l2" else 2.0))
    return min(max(fine, _COARSEST), _FINEST)


def _to_border(asker: LabelAsker, walk: _Walk) -> _Walk:
    """Go towards the clean images as far as the model stays fooled."""
    delta, point = walk.point - walk.clean, walk.point
    length = size(delta, asker.norm)
    low, high = torch.zeros_like(length), torch.ones_like(length)
    for _ in range(_lines(walk, asker.norm)):
        share = (low + high) / 2
        points = (walk.clean + project(delta, share * length, asker.norm)).clamp(0, 1)
        success = asker.ask(points[:, None], walk.rows)[1][:, 0]
        point = torch.where(per_row(success, point), points, point)
        high, low = torch.where(success, share, high), torch.where(success, low, share)
    return replace(walk, point=point)


def _jump(asker: LabelAsker, walk: _Walk, samples: int, number: int) -> _Walk:
    """Go along the direction in which the model is fooled the more, as far as it stays fooled."""
    distance = size(walk.point - walk.clean, asker.norm)
    reach = _REACH * size(walk.point - walk.clean, "l2")
    spared = 1 + _lines(walk, asker.norm)
    count = (asker.left[walk.rows] - spared).clamp_max(int(samples * math.sqrt(number)))
    direction, lean = _direction(asker, walk, reach, count)
    length, point, going = distance / math.sqrt(number), walk.point, lean < 1
    for _ in range(_HALVINGS):
        points = (walk.point + per_row(length, point) * direction).clamp(0, 1)
        success = asker.ask(points[:, None], walk.rows, going[:, None])[1][:, 0]
        point = torch.where(per_row(success, point), points, point)
        length, going = length / 2, going & ~success
        if not bool(going.any()):
            break
    return replace(walk, point=point)


def _direction(
    asker: LabelAsker, walk: _Walk, reach: Tensor, count: Tensor
) -> tuple[Tensor, Tensor]:
    """Guess the direction across the border from the answers to random probes.

    Args:
        asker: is asked.
        walk: points at the border.
        reach: (m,), l2 length of a probe.
        count: (m,), probes.

    Returns:
        (m, c, h, w), of length 1 in the norm; (m,), from 0, as many answers of both kinds, to 1,
        all of one kind.
    """
    toward, drift = torch.zeros_like(walk.point), torch.zeros_like(walk.point)
    answers = torch.zeros_like(count)
    for piece in pieces(int(count.max()), walk.point):
        here = repeated(walk.point, piece.stop - piece.start)
        away = per_row(reach, here) * _random_units(here, asker.norm, walk.streams)
        probes = (here + away).clamp(0, 1)
        numbers = torch.arange(piece.start, piece.stop, device=count.device)
        queried, success = asker.ask(probes, walk.rows, numbers < count[:, None])
        answer = queried.long() * (2 * success.long() - 1)
        moved = (probes - here) / per_row(reach, here)
        toward += (answer[:, :, None, None, None] * moved).sum(1)
        drift += (queried[:, :, None, None, None] * moved).sum(1)
        answers += answer.sum(1)
    mean = (answers / count).to(drift)
    # the mean answer taken off: fewer samples are enough
    return steepest(toward - per_row(mean, drift) * drift, asker.norm), mean.abs()


def _random_units(like: Tensor, norm: Norm, streams: Randomness) -> Tensor:
    sample = normal(like, streams) if norm == "l2" else 2 * uniform(like, streams) - 1
    return steepest(sample.flatten(0, 1), "l2").view_as(sample)


SPEC = AttackSpec(
    hopskipjump,
    kind="query",
    norms=("l2", "linf"),
    source="Chen et al. 2020, arXiv:1904.02144",
    needs_gradient=False,
    random=True,
)
