"""The options of an audit: defaults, and what is refused before anything is opened."""

from collections.abc import Sequence

from epsball.errors import InvalidInput
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.distributed import ShardCluster
from epsball.evaluation.engine.measuring import RequestedPrecision
from epsball.evaluation.metrics.gate import Gate
from epsball.evaluation.settings import AttackSetting
from epsball.evaluation.subject import Subject
from epsball.types import Dataset, Finding

DEFAULT_ATTACKS = ("fgsm", "pgd", "noise")
# a gradient of a large image costs some hundred times one of a small image; the finding
# not-converged tells where ten steps are not enough
DEFAULT_ATTACKS_LARGE = ("fgsm", "pgd:steps=10", "noise")
_LARGE = 64  # pixels a side
# of models that declare to give no gradient, and of decision trees
DEFAULT_ATTACKS_BLIND = ("square", "hopskipjump", "noise")
_BLIND_QUERIES = 1000
DEFAULT_ATTACKS_TREE = ("boxes", "noise")
PRECISIONS: dict[str, RequestedPrecision] = {
    "auto": "auto",
    "fast": "fast",
    "float32": "float32",
    "float32-copy": "float32-copy",
    "bfloat16": "bfloat16",
}


def check_cluster(cluster: ShardCluster, budget: float | None) -> None:
    """Refuse a cluster that cannot be used, before anything is written."""
    if budget is not None:
        raise InvalidInput("--budget cannot be combined with --executor ray: use --limit instead")
    cluster.check()


def check_options(
    limit: int | None,
    seed: int,
    precision: str,
    micro_batch: int | None,
    budget: float | None,
    *,
    gate: object,
) -> None:
    """Refuse options out of range."""
    rules = {
        f"limit must be 1 or more, got {limit}": limit is None or limit >= 1,
        f"seed must be 0 or more, got {seed}": seed >= 0,
        f"micro_batch must be 1 or more, got {micro_batch}": micro_batch is None or micro_batch > 0,
        f"budget must be more than 0 seconds, got {budget}": budget is None or budget > 0,
        f"precision must be auto, fast or float32, got {precision!r}": precision in PRECISIONS,
        f"gate must be a Gate, got {gate!r}; write Gate({gate!r})": isinstance(gate, Gate | None),
    }
    for broken in (rule for rule, holds in rules.items() if not holds):
        raise InvalidInput(broken)


def default_attacks(data: Dataset, steps: int | None) -> tuple[str, ...]:
    """Return the attacks that are run where none is given."""
    small = max(data.shape[1:]) <= _LARGE
    return DEFAULT_ATTACKS if small or steps is not None else DEFAULT_ATTACKS_LARGE


def attacks_for(
    subject: Subject, usual: tuple[str, ...], queries: int | None
) -> tuple[tuple[str, ...], int | None]:
    """Return the attacks and queries where none are given, for a model that has been opened.

    A model that says itself that it gives no gradient is attacked through its scores, a decision
    tree through its leaves. Where a gradient is only missing, it may be a mistake: `usual` stays,
    and is refused.
    """
    if subject.info.differentiable or not subject.declared:
        return usual, queries
    show = getattr(subject.model, "boxes", None)
    shows_boxes = callable(show) and show() is not None
    if shows_boxes:
        return DEFAULT_ATTACKS_TREE, queries
    return DEFAULT_ATTACKS_BLIND, _BLIND_QUERIES if queries is None else queries


def check_effect(
    settings: Sequence[AttackSetting],
    *,
    steps: int | None,
    queries: int | None,
    restarts: int,
) -> list[Finding]:
    """Report steps, queries or restarts that no attack of the run uses."""
    given = {"steps": steps, "queries": queries}
    unused = [
        f"{key} {value}"
        for key, value in given.items()
        if value is not None and all(setting.knobs.get(key) != value for setting in settings)
    ]
    if restarts > 1 and all(setting.restarts != restarts for setting in settings):
        unused.append(f"restarts {restarts}")
    if not unused:
        return []
    variants = ", ".join(setting.variant for setting in settings)
    message = f"{' and '.join(unused)}: no attack of this run ({variants}) uses it"
    return [finding("option-without-effect", message, options=unused)]
