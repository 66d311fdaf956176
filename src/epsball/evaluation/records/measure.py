"""From scores and images to the columns of a record."""

from collections.abc import Callable
from typing import Any

import polars as pl
import torch
from torch import Tensor

from epsball.evaluation.engine.attacked import Attacked
from epsball.evaluation.engine.examples import Examples, Reading, read_scores
from epsball.evaluation.records.schema import MEANINGLESS_WHEN_RETIRED, SCHEMA
from epsball.evaluation.records.survival import to_8bit
from epsball.evaluation.records.through import Transform
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import size
from epsball.image_codec import CHANNELS, ByteImages, through_jpeg, through_png
from epsball.objectives import is_adversarial
from epsball.types import NORMS, ModelInfo


def record_frame(
    setting: AttackSetting,
    eps: float,
    examples: Examples,
    attacked: Attacked,
    *,
    attacked_scores: Tensor,
    scores: Callable[[Tensor], Tensor],
    info: ModelInfo,
    full_budget: bool,
    transform: Transform | None = None,
    clean_through: Tensor | None = None,
    targets: Tensor | None = None,
) -> pl.DataFrame:
    """Judge the results of an attack and lay them out as records.

    Args:
        setting: the attack.
        eps: the radius it was given.
        examples: the shard's clean images, their scores read.
        attacked: the results.
        attacked_scores: (n, k), those of the results.
        scores: float32 scores of the caller's own model.
        info: what is known of the model.
        full_budget: whether every image had the whole attack; else what retirement makes
            meaningless is null.
        transform: fooled images are judged after it as well; None: they are not.
        clean_through: (n,), bool: which clean images are safe after it.
        targets: (n,), the classes to reach; None of an untargeted attack.

    Returns:
        One row an image, with the columns of `records.SCHEMA`.
    """
    reading = read_scores(attacked_scores, examples.labels, info)
    delta = attacked.images.double() - examples.images.double()
    flat = attacked.images.flatten(1)
    count = len(examples.labels)
    columns: dict[str, Any] = {
        "index": examples.positions,
        "label": examples.labels,
        "variant": [setting.variant] * count,
        "attack": [setting.attack] * count,
        "norm": [setting.norm] * count,
        "eps": [eps] * count,
        "steps": [setting.knobs.get("steps")] * count,
        "restarts": [setting.restarts] * count,
        "objective": [setting.knobs.get("objective")] * count,
        "direction": [setting.knobs.get("direction")] * count,
        "reference": [setting.knobs.get("reference")] * count,
        "target": [None] * count if targets is None else targets,
        "forwards": attacked.forwards,
        "backwards": attacked.backwards,
        "queries": attacked.queries if setting.spec.kind == "query" else [None] * count,
        "lowest": flat.amin(1),
        "highest": flat.amax(1),
        **{norm: size(delta, norm) for norm in NORMS},
        "distance": attacked.distance if attacked.distance is not None else [None] * count,
        "excess": size(delta, setting.norm) - eps if setting.norm != "none" else [None] * count,
        **_columns(examples.reading, "clean_"),
        **_columns(reading, ""),
        "safe": reading.safe,
        "clean_through": [None] * count if clean_through is None else clean_through,
    }
    if full_budget:
        columns |= _survival(examples, attacked, reading, scores, info, transform=transform)
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
    examples: Examples,
    attacked: Attacked,
    reading: Reading,
    scores: Callable[[Tensor], Tensor],
    info: ModelInfo,
    *,
    transform: Transform | None,
) -> dict[str, list[bool | None]]:
    """Score the fooled images again, saved in several ways; null for the others."""
    fooled = ~reading.safe
    saved = to_8bit(attacked.images[fooled], examples.images[fooled])
    labels = examples.labels[fooled]
    passed = None
    if transform is not None and len(saved):
        arrived = transform(torch.from_numpy(saved).float() / 255, examples.positions[fooled])
        passed = (arrived * 255).round().to(torch.uint8).numpy()

    def still(images: ByteImages | None) -> list[bool | None]:
        column: list[bool | None] = [None] * len(fooled)
        if images is None or not len(images):
            return column
        logits = scores(torch.from_numpy(images).float() / 255)
        verdicts = is_adversarial(logits, labels, classes=info.classes).tolist()
        for row, verdict in zip(fooled.nonzero()[:, 0].tolist(), verdicts, strict=True):
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
        "survives_through": still(passed),
    }
