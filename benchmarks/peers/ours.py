"""epsball's attacks, every cost of reaching the verdicts included.

All attacks go through the engine: what is timed is the clean pass, the search, the confirmation of
what it found, and the last pass, in float32 by the untouched model, that gives the verdicts. The
other libraries are timed up to the images they return, without those passes.
"""

import math
from dataclasses import replace

import torch
from benchmarks.peers.jobs import (
    CW_CONSTANT,
    CW_SEARCHES,
    CW_STEP,
    OVERSHOOT,
    Attack,
    Job,
)
from torch import Tensor

from epsball.attacks import ATTACKS as TABLE
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.engine import Engine, deterministic
from epsball.evaluation.engine.examples import Examples, read_scores
from epsball.evaluation.settings import make_settings
from epsball.types import ModelInfo, Precision

SEARCHED: Precision = "bfloat16"
PRECISION = "the search is in bfloat16, every success confirmed in float32"


def through_engine(job: Job, attack: str, *, precision: Precision, full_budget: bool) -> Tensor:
    """Reach the verdicts of a job as an audit does, and return the images they are about.

    Args:
        job: the work.
        attack: as the command line takes it, "pgd:steps=40".
        precision: of the search.
        full_budget: every step for every image.
    """
    (setting,) = make_settings([attack], norm=job.norm, eps=[job.eps])
    info, threads = ModelInfo(job.classes), torch.get_num_threads()
    config = EngineConfig(
        device=job.device,
        precision=precision,
        micro_batch=job.batch,
        threads=threads,
        full_budget=full_budget,
    )
    places = torch.arange(len(job.images))
    with deterministic(threads):
        engine = Engine(job.model, info, config, job.seed)
        clean = read_scores(engine.scores(job.images), job.labels, info)
        examples = Examples(job.images, job.labels, places, clean)
        (attacked,) = attack_examples(engine, setting, examples)
        read_scores(engine.scores(attacked.images), job.labels, info)
    return attacked.images


def nearest(job: Job, attack: str) -> Tensor:
    """Look for the nearest adversarial image, as far away as it may be."""
    farthest = 1.0 if job.norm == "linf" else math.sqrt(job.images[0].numel())
    return through_engine(replace(job, eps=farthest), attack, precision=SEARCHED, full_budget=False)


def _verdict(attack: str) -> Attack:
    """Return an attack in verdict mode; steps are filled in where it takes any."""

    def run(job: Job) -> Tensor:
        text = attack.format(steps=job.steps, step_size=job.step_size if job.steps else 0)
        return through_engine(job, text, precision=SEARCHED, full_budget=False)

    return run


def full_pgd(job: Job) -> Tensor:
    """Take every step on every image in float32."""
    text = f"pgd:steps={job.steps},step_size={job.step_size}"
    return through_engine(job, text, precision="float32", full_budget=True)


def fmn(job: Job) -> Tensor:
    """Fast minimum norm."""
    return nearest(job, f"fmn:steps={job.steps}")


def ddn(job: Job) -> Tensor:
    """Decoupled direction and norm."""
    return nearest(job, f"ddn:steps={job.steps}")


def deepfool(job: Job) -> Tensor:
    """DeepFool."""
    return nearest(job, f"deepfool:steps={job.steps},overshoot={OVERSHOOT}")


def cw(job: Job) -> Tensor:
    """Carlini and Wagner's."""
    own = f"searches={CW_SEARCHES},steps={job.steps},step_size={CW_STEP},constant={CW_CONSTANT}"
    return nearest(job, f"cw:{own}")


VERDICT: dict[str, Attack] = {
    "pgd": _verdict("pgd:steps={steps},step_size={step_size}"),
    "apgd": _verdict("apgd:steps={steps}"),
    "strongest": _verdict("strongest"),
    "fmn-linf": fmn,
    "fmn-l2": fmn,
    "ddn": ddn,
    "deepfool-linf": deepfool,
    "deepfool-l2": deepfool,
    "cw": cw,
}
OWN_STEPS: dict[str, Attack] = {"pgd": _verdict("pgd:steps={steps}")}
FULL_BUDGET: dict[str, Attack] = {"floor": full_pgd}
STANDARD: dict[str, Attack] = {"strongest": _verdict("autoattack")}
_OF_ONE_ATTACK = {"FULL_BUDGET": "pgd", "STANDARD": "autoattack"}  # not named like their method


def not_yet(method: str, table: str) -> str | None:
    """Say what epsball lacks for a method; None: nothing."""
    name = method.partition("-")[0]
    if table in _OF_ONE_ATTACK:
        name = _OF_ONE_ATTACK[table]
    return None if name in TABLE else f"epsball has no attack {name} yet"
