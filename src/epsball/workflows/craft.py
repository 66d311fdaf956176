"""`epsball attack`: adversarial images as one npz file or a folder of PNGs, with a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from epsball.data import choose, default_eps
from epsball.errors import InvalidInput
from epsball.evaluation.class_matching import fit_labels
from epsball.evaluation.engine.asking import gradients_enabled, random_state_kept
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.engine import Engine, deterministic
from epsball.evaluation.engine.examples import Examples, read_scores
from epsball.evaluation.engine.measuring import choose_config
from epsball.evaluation.inputs import Data, decoded_once, open_data, read_through, sample_of
from epsball.evaluation.planning.rehearsal import check_fit, rehearse
from epsball.evaluation.planning.request import Sample
from epsball.evaluation.progress import Progress, Silent
from epsball.evaluation.records.shards import read_clean, shards_of
from epsball.evaluation.settings import AttackSetting, make_settings
from epsball.evaluation.subject import Model, open_model
from epsball.evaluation.targets import resolve_targets
from epsball.machine.hardware import default_threads
from epsball.types import Dataset, Finding, Positions
from epsball.workflows.saving import TABLE, Form, Table, appearing, check_form, open_saver

_AT_ONCE = 256
_PROBED = 64


@dataclass(frozen=True)
class Crafted:
    """Counts of what was written.

    Args:
        path: the directory.
        n: how many images.
        fooled: how many of them, as saved, get another class than their label.
        clean_wrong: how many were wrong before.
        class_names: of the labels in the table, in the model's order.
    """

    path: Path
    n: int
    fooled: int
    clean_wrong: int
    class_names: tuple[str, ...]


@random_state_kept()
@gradients_enabled()
def craft(
    model: Model,
    data: Data,
    *,
    out: Path,
    attack: str = "pgd",
    norm: str = "linf",
    eps: float | str | None = None,
    steps: int | None = None,
    restarts: int = 1,
    form: Form = "npz",
    target: str | int | None = None,
    limit: int | None = None,
    sample: Sample = "auto",
    label: str | int | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> Crafted:
    """Attack images and write the results in their original size, with a CSV.

    Args:
        model: see `epsball.audit`.
        data: see `epsball.audit`.
        out: directory to be created; both forms can be audited again: `npz:OUT/adversarial.npz`,
            `folder:OUT`.
        attack: name with settings, "pgd:steps=100".
        norm: "linf" or "l2".
        eps: one radius; None: the largest that suits the data.
        steps: see `epsball.audit`.
        restarts: see `epsball.audit`.
        form: "npz": float32, exactly what the attack returned; "png": 8 bits, rounded towards the
            clean image so that the eps-ball still holds, in one folder a class.
        target: see `epsball.audit`.
        limit: how many images; None: all.
        sample: see `epsball.audit`.
        label: see `epsball.audit`.
        seed: see `epsball.audit`.
        device: see `epsball.audit`.
        progress: shows how far it is.
        **loading: see `epsball.audit`.

    Returns:
        Counts. Predictions in the table are those of the images as saved.

    Raises:
        EpsballError: bad input; nothing has been written then.
    """
    progress = progress or Silent()
    images = decoded_once(open_data(data, label=label, most=limit if sample == "first" else None))
    radius = max(default_eps(images, norm)) if eps is None else eps
    (setting,) = make_settings(
        [attack],
        norm=norm,
        eps=[radius],
        steps=steps,
        restarts=restarts,
        target=None if target is None else str(target),
    )
    check_form(form, images)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInput(f"--out {out} is there already: name a new or empty directory")
    positions = choose(images.labels, limit, how=sample, seed=seed)
    engine, images = _engine(model, images, positions, setting, seed=seed, device=device, **loading)
    (setting,) = resolve_targets([setting], engine.info.classes, images.class_names, len(images))
    progress.begin("attacking", len(positions))
    with (
        deterministic(engine.config.threads),
        appearing(out) as partial_out,
        Table(partial_out / TABLE, images) as table,
    ):
        saver = open_saver(form, partial_out, images, len(positions))
        for shard in shards_of(positions, _AT_ONCE):
            clean = read_clean(engine, images, shard.positions)
            (attacked,) = attack_examples(
                engine, setting, clean, lambda count: progress.advance(count, setting.variant)
            )
            files, saved = saver.add(attacked.images, clean)
            reading = read_scores(engine.scores(saved), clean.labels, engine.info)
            table.add(setting, clean, files, saved, reading)
        saver.close()
    return Crafted(out, len(positions), table.fooled, table.clean_wrong, images.class_names)


def _engine(
    model: Model,
    dataset: Dataset,
    positions: Positions,
    setting: AttackSetting,
    *,
    seed: int,
    device: str,
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> tuple[Engine, Dataset]:
    """Open the model and look for what is wrong, as an audit does, before anything is written."""
    sample, labels = sample_of(dataset, _PROBED)
    subject = open_model(model, sample, device, **loading)
    _refuse(subject.findings)
    dataset, _ = fit_labels(subject, dataset)
    labels = torch.from_numpy(dataset.labels[: len(labels)])
    check_fit(subject, dataset, positions)
    rehearse(subject, [setting], Examples(sample, labels, torch.arange(len(labels))), Counter())
    _refuse(read_through(dataset, positions)[1])
    count = len(positions)
    config, _ = choose_config(
        subject.model,
        sample,
        EngineConfig(device=subject.device, micro_batch=1, threads=default_threads()),
        requested="float32",
        micro_batch=None,
        most=count,
        gradients=count * setting.gradients,
    )
    return Engine(subject.model, subject.info, config, seed), dataset


def _refuse(findings: Sequence[Finding]) -> None:
    for one in findings:
        raise InvalidInput(f"{one.message}: {one.remedy}")
