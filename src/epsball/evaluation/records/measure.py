"""From scores and images to the columns of a record."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch import Tensor

from epsball.evaluation.engine.verdicts import Attacked
from epsball.evaluation.records.schema import MEANINGLESS_WHEN_RETIRED, SCHEMA
from epsball.evaluation.records.survival import to_8bit
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import size
from epsball.image_codec import CHANNELS, ByteImages, through_jpeg, through_png
from epsball.objectives import is_adversarial, margin
from epsball.rejecting import probabilities
from epsball.types import NORMS, ModelInfo

_TOP = 5


@dataclass(frozen=True)
class Reading:
    """What scores say of each image.

    Args:
        prediction: (n,), the first column; k where a model rejects.
        confidence: (n,), the probability of that column, in [0, 1]: a softmax over all columns, or,
            of a model that gives log-odds, the sigmoid of that column, threshold included.
        top5: (n, min(5, k)), classes, most likely first.
        margin: (n,), score of the label minus the best other class: positive means right.
        rejected: (n,), bool.
        acceptance: (n,), by how much the best class lies above the reject score: rejected below
            zero; None of a model that does not reject.
        safe: (n,), bool; the label, or rejected. A score that is not finite is not safe.
    """

    prediction: Tensor
    confidence: Tensor
    top5: Tensor
    margin: Tensor
    rejected: Tensor
    acceptance: Tensor | None
    safe: Tensor

    def stands(self, labels: Tensor) -> Tensor:
        """Return (n,) bool: clean images that an attack has still to fool, right or rejected."""
        return (self.prediction == labels) | self.rejected

    def rows(self, chosen: Tensor | slice) -> "Reading":
        """Return what is said of some images."""
        accepted = None if self.acceptance is None else self.acceptance[chosen]
        return Reading(
            self.prediction[chosen],
            self.confidence[chosen],
            self.top5[chosen],
            self.margin[chosen],
            self.rejected[chosen],
            accepted,
            self.safe[chosen],
        )


def read_scores(scores: Tensor, labels: Tensor, info: ModelInfo) -> Reading:
    """Read predictions, confidence and margin off scores.

    Args:
        scores: (n, k), or (n, k + 1) of a model that rejects.
        labels: (n,), the true classes.
        info: says what the scores are.
    """
    classes = scores[:, : info.classes]
    prediction = scores.argmax(1)
    finite = scores.isfinite().all(1)
    return Reading(
        prediction=prediction,
        confidence=probabilities(scores.double(), info.gives).gather(1, prediction[:, None])[:, 0],
        top5=classes.topk(min(_TOP, info.classes), dim=1).indices,
        margin=-margin(classes, labels).double(),
        rejected=prediction >= info.classes,
        acceptance=(classes.amax(1) - scores[:, -1]).double() if info.rejects else None,
        safe=~is_adversarial(scores, labels, classes=info.classes) & finite,
    )


@dataclass(frozen=True)
class Clean:
    """A shard before it is attacked: the clean pass is made once and shared by all attacks.

    Args:
        positions: (n,), positions in the data set.
        labels: (n,), int64.
        images: (n, c, h, w), float32 in [0, 1].
        reading: of the clean scores.
    """

    positions: Tensor
    labels: Tensor
    images: Tensor
    reading: Reading

    def rows(self, chosen: Tensor | slice) -> "Clean":
        """Return some images of the shard."""
        return Clean(
            self.positions[chosen],
            self.labels[chosen],
            self.images[chosen],
            self.reading.rows(chosen),
        )


def record_frame(
    setting: AttackSetting,
    eps: float,
    clean: Clean,
    attacked: Attacked,
    *,
    scores: Callable[[Tensor], Tensor],
    info: ModelInfo,
    full_budget: bool,
) -> pl.DataFrame:
    """Judge what an attack made and lay it out as records.

    Args:
        setting: the attack.
        eps: the radius it was given.
        clean: the shard.
        attacked: what came out.
        scores: float32 scores of the caller's own model.
        info: what is known of the model.
        full_budget: whether every image had the whole attack; else what retirement makes
            meaningless is null.

    Returns:
        One row an image, with the columns of `records.SCHEMA`.
    """
    reading = read_scores(scores(attacked.images), clean.labels, info)
    delta = attacked.images.double() - clean.images.double()
    flat = attacked.images.flatten(1)
    count = len(clean.labels)
    columns: dict[str, Any] = {
        "index": clean.positions,
        "label": clean.labels,
        "variant": [setting.variant] * count,
        "attack": [setting.attack] * count,
        "norm": [setting.norm] * count,
        "eps": [eps] * count,
        "steps": [setting.knobs.get("steps")] * count,
        "restarts": [setting.restarts] * count,
        "objective": [setting.knobs.get("objective")] * count,
        "direction": [setting.knobs.get("direction")] * count,
        "reference": [setting.knobs.get("reference")] * count,
        "forwards": attacked.forwards,
        "backwards": attacked.backwards,
        "queries": [None] * count,
        "lowest": flat.amin(1),
        "highest": flat.amax(1),
        **{norm: size(delta, norm) for norm in NORMS},
        "distance": attacked.distance if attacked.distance is not None else [None] * count,
        "excess": size(delta, setting.norm) - eps if setting.norm != "none" else [None] * count,
        **_columns(clean.reading, "clean_"),
        **_columns(reading, ""),
        "safe": reading.safe,
    }
    if full_budget:
        columns |= _survival(clean, attacked, reading, scores, info)
    else:
        # where the search for an image ended at its first success these say nothing of the attack
        columns |= {name: [None] * count for name in MEANINGLESS_WHEN_RETIRED}
    plain = {n: c.tolist() if isinstance(c, Tensor) else c for n, c in columns.items()}
    return pl.DataFrame({name: plain[name] for name in SCHEMA}, schema=SCHEMA, strict=False)


def _columns(reading: Reading, prefix: str) -> dict[str, Any]:
    names = ("prediction", "confidence", "top5", "margin", "rejected", "acceptance")
    columns = {prefix + name: getattr(reading, name) for name in names}
    nothing = [None] * len(reading.prediction)
    return {name: nothing if column is None else column for name, column in columns.items()}


def _survival(
    clean: Clean,
    attacked: Attacked,
    reading: Reading,
    scores: Callable[[Tensor], Tensor],
    info: ModelInfo,
) -> dict[str, list[bool | None]]:
    """Ask again about the fooled images, saved in several ways; null for the others."""
    fooled = ~reading.safe
    saved = to_8bit(attacked.images[fooled], clean.images[fooled])
    labels = clean.labels[fooled]

    def still(images: ByteImages | None) -> list[bool | None]:
        column: list[bool | None] = [None] * len(fooled)
        if images is None or not len(images):
            return column
        logits = scores(torch.from_numpy(images).float() / 255)
        kept = is_adversarial(logits, labels, classes=info.classes).tolist()
        for row, verdict in zip(fooled.nonzero()[:, 0].tolist(), kept, strict=True):
            column[row] = verdict
        return column

    at_8bit = still(saved)
    fits = saved.shape[1] in CHANNELS  # else no image file holds them
    png = through_png(saved) if fits else None
    same = png is not None and bool((png == saved).all())
    return {
        "survives_8bit": at_8bit,
        "survives_png": at_8bit if same else still(png),
        "survives_jpeg90": still(through_jpeg(saved, 90) if fits else None),
        "survives_jpeg75": still(through_jpeg(saved, 75) if fits else None),
    }
