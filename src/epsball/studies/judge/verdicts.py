"""How a study judges a network by verdicts alone: is an image adversarial within eps or not?"""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from epsball.evaluation.audit import audit
from epsball.evaluation.settings import make_settings
from epsball.studies.core.store import Row
from epsball.studies.judge.attacking import accuracy_of, attack_shards
from epsball.studies.judge.engine import MICRO_BATCH, engine_for
from epsball.types import Dataset


def judge_verdicts(
    model: nn.Module,
    dataset: Dataset,
    attack: str,
    eps: Sequence[float],
    *,
    restarts: int,
    seed: int,
    run: Path,
    norm: str = "linf",
    precision: str = "float32",
) -> list[Row]:
    """Compute verdicts with every check of an audit; killed, it goes on where it was.

    Args:
        model: in eval mode.
        dataset: all are used.
        attack: with settings where wanted.
        eps: radii in norm, input units.
        restarts: of an attack that is random.
        seed: of all that is random.
        run: directory of the audit.
        norm: of the ball.
        precision: of the search; "fast" where the network convolves. Verdicts are float32.

    Returns:
        One row an eps: n, right, accuracy, passes spent, the attack's seconds (the checks' not
        among them), and the codes of findings that are more than notes, apart by spaces. With a
        blocking finding right and accuracy are None.
    """
    report = audit(
        model,
        dataset,
        attacks=[attack],
        norm=norm,
        eps=list(eps),
        restarts=restarts,
        seed=seed,
        precision=precision,
        micro_batch=MICRO_BATCH,
        out=run,
    )
    doubts = sorted({f.code for f in report.findings if f.severity != "info"})
    return [
        {
            "attack": attack,
            "eps": result["eps"],
            "mode": "verdicts",
            "steps": result["steps"],
            "restarts": restarts,
            "n": result["n"],
            "accuracy": result["robust_accuracy"],
            "right": _count(result["robust_accuracy"], result["n"]),
            "forwards": result["forwards"],
            "backwards": result["backwards"],
            "attack_seconds": result["seconds"],
            "findings": " ".join(doubts),
        }
        for result in report.summary["results"]
    ]


def judge_unchecked(
    model: nn.Module,
    dataset: Dataset,
    attack: str,
    eps: Sequence[float],
    *,
    restarts: int,
    seed: int,
    norm: str = "linf",
) -> list[Row]:
    """Compute verdicts without an audit's checks, which run in float32 and take long.

    Args:
        model: in eval mode; searched on a cheaper copy, every success confirmed in float32.
        dataset: all are used, at once.
        attack: with settings where wanted.
        eps: radii in norm, input units.
        restarts: of an attack that is random.
        seed: of all that is random.
        norm: of the ball.

    Returns:
        As `judge_verdicts`, without findings.
    """
    engine = engine_for(model, dataset, seed, precision="fast").changed(full_budget=False)
    settings = make_settings([attack], norm=norm, eps=list(eps), restarts=restarts)
    return [
        {
            "attack": attack,
            "eps": one.eps,
            "mode": "verdicts",
            "restarts": restarts,
            "steps": one.setting.knobs.get("steps"),
            **accuracy_of(one.reading.safe),
            "forwards": int(one.attacked.forwards.sum()),
            "backwards": int(one.attacked.backwards.sum()),
            "attack_seconds": one.seconds,
        }
        for _, outcomes in attack_shards(engine, dataset, settings, len(dataset))
        for one in outcomes
    ]


def _count(share: float | None, images: int) -> int | None:
    return None if share is None else round(share * images)
