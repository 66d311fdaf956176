"""Questions to a model that says only which class it sees, counted; and where to begin."""

import torch
from torch import Tensor
from torch.nn import functional

from epsball.attacks.black_box.sampling import pass_size, streams_of
from epsball.attacks.core.ascent import confirmed
from epsball.attacks.core.asking import read
from epsball.attacks.gradient.pgd import Mislead
from epsball.geometry import size
from epsball.objectives import margin
from epsball.randomness import ImageStreams, Randomness, uniform
from epsball.tensors import Classifier
from epsball.types import Norm

_GRAINS = (1, 2, 4, 8)  # sides, in pixels, of the patches that noise is made of
_STARTS = 0x5747  # names the streams that noise is drawn from
_HALF = 0.5
# longer than any distance: a lead that rounding may undo counts only where there is no other
_UNSURE = 1e4


class LabelAsker:
    """Asks whether points fool the model, within a budget; keeps the nearest that does.

    Of scores only the class that is first is used; their size tells no more than whether another
    batch would find the same one.

    Args:
        model: the classifier.
        clean: (n, c, h, w).
        labels: (n,), the true classes.
        targets: (n,), the classes to reach, or None.
        norm: in which points are near.
        queries: what each image may be asked about.
    """

    def __init__(
        self,
        model: Classifier,
        clean: Tensor,
        labels: Tensor,
        targets: Tensor | None,
        *,
        norm: Norm,
        queries: int,
    ) -> None:
        """Begin with nothing asked: the nearest is the clean image, for want of another."""
        self.model, self.clean, self.norm = model, clean, norm
        self.goal, self.at_once = Mislead(model, margin, labels, targets), pass_size(clean)
        self.left = torch.full_like(labels, queries)
        self.nearest = clean.clone()
        self.distance = torch.full_like(labels, torch.inf, dtype=clean.dtype)

    def ask(
        self, points: Tensor, rows: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Ask about several points a row, as long as the row's budget lasts.

        Args:
            points: (m, s, c, h, w).
            rows: (m,), which rows of the batch they belong to, each at most once.
            mask: (m, s), bool; which of them to ask about; None: all.

        Returns:
            (m, s) bool, twice: asked; fooled.
        """
        queried = torch.ones(points.shape[:2], dtype=torch.bool, device=points.device)
        queried = queried if mask is None else mask
        queried = queried & (queried.cumsum(1) <= self.left[rows][:, None])
        successes = torch.zeros_like(queried)
        row, column = queried.nonzero().unbind(1)
        if not len(row):
            return queried, successes
        these, of = points[row, column], rows[row]
        self.left[rows] -= queried.sum(1)
        logits, goal = read(self.model, these, of, self.at_once), self.goal.rows(of)
        success = successes[row, column] = goal.success(logits)
        far = size(these - self.clean[of], self.norm).masked_fill(~success, torch.inf)
        clear_success = confirmed(None, goal, these, logits, of)
        distance = torch.full_like(queried, torch.inf, dtype=points.dtype)
        distance[row, column] = torch.where(clear_success, far, far + _UNSURE)
        self._keep(points, distance, rows)
        return queried, successes

    def _keep(self, points: Tensor, distance: Tensor, rows: Tensor) -> None:
        least, column = distance.min(1)
        nearer = (least < self.distance[rows]).nonzero()[:, 0]
        self.distance[rows[nearer]] = least[nearer]
        self.nearest[rows[nearer]] = points[nearer, column[nearer]]


def find_starts(
    asker: LabelAsker, rows: Tensor, starts: Tensor | None, generator: Randomness
) -> tuple[Tensor, Tensor]:
    """Find an image that fools, however far away: the caller's, or noise.

    Args:
        asker: is asked, until a row's budget is spent.
        rows: (m,), of the batch.
        starts: (n, c, h, w), what the caller has for the whole batch.
        generator: of the whole batch.

    Returns:
        The rows that have a start, in order, and their starts.
    """
    has_start = torch.zeros_like(asker.left, dtype=torch.bool)
    points = asker.clean.clone()
    # how often noise is drawn differs from row to row: later draws must not depend on it
    fresh = generator.restarted(_STARTS) if isinstance(generator, ImageStreams) else generator
    missing, streams, number = rows, streams_of(fresh, rows), 0
    while len(missing):
        if starts is None:
            proposals = _noise(asker.clean[missing], number, streams)
            number += 1
        else:
            proposals, starts = starts[missing], None
        success = asker.ask(proposals[:, None], missing)[1][:, 0]
        points[missing[success]] = proposals[success]
        has_start[missing[success]] = True
        going = (~success & (asker.left[missing] > 0)).nonzero()[:, 0]
        missing, streams = missing[going], streams_of(streams, going)
    chosen = rows[has_start[rows]]
    return chosen, points[chosen]


def _noise(clean: Tensor, number: int, streams: Randomness) -> Tensor:
    """Draw noise: the source's every other time; else grain, contrast and strength take turns.

    Args:
        clean: (m, c, h, w).
        number: of the try, from 0.
        streams: of these rows.
    """
    kind = (number + 1) // 2 if number % 2 else 0
    grain, turn = _GRAINS[kind % len(_GRAINS)], kind // len(_GRAINS)
    height, width = clean.shape[2:]
    noise = uniform(clean[:, :, : -(-height // grain), : -(-width // grain)], streams)
    if turn % 2:
        noise = noise.round()  # black and white
    noise = functional.interpolate(noise, scale_factor=grain)[:, :, :height, :width]
    return noise.lerp(clean, _HALF) if turn // 2 % 2 else noise
