"""The control of a cheap verdict: AutoAttack's composition on a few of the images that survived."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from epsball.attacks import ATTACKS
from epsball.errors import InvalidInput
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.checks.probe import Probe, safe_rows
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.metrics.belief import Believed, Requested, control_count
from epsball.evaluation.metrics.grouping import in_balls, robust_images
from epsball.evaluation.metrics.present import eps_text
from epsball.evaluation.progress import Progress
from epsball.evaluation.records.shards import Shard, read_clean, run_shard
from epsball.evaluation.settings import AttackSetting, make_settings
from epsball.files import write_atomically
from epsball.types import Dataset, Finding, ModelInfo, Passes, Positions

CONTROL = "autoattack"
_FILE = "control.json"
_AUTOMATIC = "strongest"  # the attack whose verdict is controlled without being asked


@dataclass(frozen=True)
class Control:
    """A control that is to be made.

    Args:
        requested: how many images.
        setting: the dear attack, at all eps of the run.
        seed: of the draw.
    """

    requested: Requested
    setting: AttackSetting
    seed: int


def plan_control(
    requested: Requested,
    settings: Sequence[AttackSetting],
    info: ModelInfo,
    *,
    seed: int,
    dear: bool,
) -> Control | None:
    """Decide whether a verdict is controlled.

    Args:
        requested: "auto": the verdict of `strongest` is, where a control is possible.
        settings: the attacks of the run.
        info: what is known of the model.
        seed: of the run.
        dear: the full budget or a time budget is asked for: "auto" then means none.

    Returns:
        The control; None: there is none.

    Raises:
        InvalidInput: a number of images is asked for, and a control is not possible.
    """
    name = CONTROL.partition(":")[0]
    first = next((s for s in settings if s.norm != "none"), settings[0])
    rules = {
        f"{name} needs gradients, and the model gives "
        f"{'labels' if info.gives == 'labels' else 'scores'} only": info.differentiable
        and info.gives != "labels",
        f"{name} is for linf and l2, got {first.norm}": first.norm in ATTACKS[name].norms,
        "verdicts towards a target are not controlled": all(s.target is None for s in settings),
        f"{name} is among the attacks itself": all(s.attack != name for s in settings),
    }
    broken = next((rule for rule, holds in rules.items() if not holds), None)
    automatic = not dear and any(s.attack == _AUTOMATIC for s in settings)
    if requested == "none" or (requested == "auto" and (broken or not automatic)):
        return None
    if broken:
        raise InvalidInput(f"belief {requested}: {broken}: leave --belief out")
    (setting,) = make_settings([CONTROL], norm=first.norm, eps=first.eps)
    return Control(requested, setting, seed)


def check_belief(
    run: Path,
    engine: Engine,
    data: Dataset,
    control: Control,
    *,
    records: pl.DataFrame,
    shards: Sequence[Shard],
    progress: Progress,
) -> tuple[Believed, list[Finding]]:
    """Attack a sample of the survivors with the dear attack; where one falls, all images.

    Args:
        run: the run's directory.
        engine: the run's engine.
        data: where the images come from.
        control: what is to be done.
        records: of the finished shards.
        shards: these.
        progress: shows what is done.
    """
    positions = surviving(records)
    spent = Passes(int(records["forwards"].sum()), int(records["backwards"].sum()))
    each = control.setting.changed(eps=control.setting.eps[-1:]).passes()
    count = control_count(control.requested, len(positions), spent.cost, each.cost)
    drawn = np.random.default_rng(control.seed).choice(positions, count, replace=False)
    drawn = np.sort(drawn)
    progress.begin("attacking a control sample", count)
    fallen, blind = _attacked(run, engine, data, control.setting, drawn) if count else (0, False)
    believed = Believed(
        control.setting.variant,
        records["index"].n_unique(),
        len(positions),
        count,
        fallen,
        blind,
        control.requested,
    )
    findings = _findings(believed, control.setting.eps[-1])
    if fallen:
        progress.begin(f"attacking all images with {CONTROL}", records["index"].n_unique())
        for shard in shards:
            run_shard(
                engine,
                data,
                shard,
                [control.setting],
                run=run,
                advance=lambda _, images: progress.advance(images, CONTROL),
            )
    return believed, findings


def surviving(records: pl.DataFrame) -> Positions:
    """Return the positions of the images that are right when clean and under every attack."""
    return robust_images(in_balls(records)).filter("robust")["index"].sort().to_numpy()


def _attacked(
    run: Path, engine: Engine, data: Dataset, setting: AttackSetting, drawn: Positions
) -> tuple[int, bool]:
    """Return how many controls fall, and whether none of them has a gradient."""
    file, key = run / _FILE, {"positions": drawn.tolist(), "attack": setting.variant}
    if file.exists() and (kept := json.loads(file.read_text()))["of"] == key:
        return kept["fallen"], kept["blind"]
    probe = Probe.of(engine, replace(read_clean(engine, data, drawn), clean=None), [setting])
    slopes = probe.margin_slopes
    blind = slopes is not None and not bool(slopes.any())
    widest = setting.changed(eps=setting.eps[-1:])
    verdicts = engine.changed(full_budget=False)
    (attacked,) = attack_examples(verdicts, widest, probe.examples)
    fallen = int((~safe_rows(engine, attacked.images, probe)).sum())
    kept = {"of": key, "fallen": fallen, "blind": blind}
    write_atomically(file, lambda f: f.write_text(json.dumps(kept) + "\n", encoding="utf-8"))
    return fallen, blind


def _findings(believed: Believed, eps: float) -> list[Finding]:
    counts = {"fallen": believed.fallen, "controls": believed.controls}
    if believed.fallen:
        message = (
            f"at eps {eps_text(eps)}, {believed.attack} fools {believed.fallen} of "
            f"{believed.controls} control images that the attacks of this run had left right: "
            "their verdict is too high"
        )
        return [finding("verdict-too-high", message, **counts)]
    if believed.blind:
        message = (
            f"none of {believed.controls} control images has a gradient: of {believed.attack} "
            "only the part that needs none could judge them"
        )
        return [finding("control-without-gradient", message, **counts)]
    return []
