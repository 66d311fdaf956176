"""`audit`: how often a model is fooled, by what, and whether the numbers can be trusted."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from epsball.data import default_eps
from epsball.evaluation.belief import plan_control
from epsball.evaluation.class_matching import Classes, fit_labels
from epsball.evaluation.distributed import ShardCluster
from epsball.evaluation.engine.asking import gradients_enabled, random_state_kept
from epsball.evaluation.engine.engine import deterministic
from epsball.evaluation.forms import (
    attack_texts,
    check_known,
    check_radii,
    chosen,
    radii,
    read_seconds,
    truth,
    whole,
)
from epsball.evaluation.inputs import Data, decoded_once, open_data, sample_of
from epsball.evaluation.manifest import read_begun, settle
from epsball.evaluation.metrics.belief import read_belief
from epsball.evaluation.metrics.gate import Gate
from epsball.evaluation.phases import Phases
from epsball.evaluation.plan import Plan, make_plan
from epsball.evaluation.planning.budgeting import Clock
from epsball.evaluation.planning.forecast import foretell
from epsball.evaluation.planning.options import (
    PRECISIONS,
    attacks_for,
    check_cluster,
    check_effect,
    check_options,
    default_attacks,
)
from epsball.evaluation.planning.request import Request
from epsball.evaluation.progress import Progress, Silent
from epsball.evaluation.records.schema import read_records, read_saved_images
from epsball.evaluation.records.through import check_transform
from epsball.evaluation.result import Audit
from epsball.evaluation.running.job import run_plan
from epsball.evaluation.running.sums import summary_of
from epsball.evaluation.settings import make_settings
from epsball.evaluation.subject import Model, open_model
from epsball.evaluation.targets import resolve_targets
from epsball.machine.hardware import default_threads
from epsball.models import load_model
from epsball.types import Finding

Attacks: TypeAlias = Sequence[str | Callable[..., Any]] | Callable[..., Any] | str | None


@random_state_kept()
@gradients_enabled()
def audit(
    model: Model,
    data: Data,
    *,
    attacks: Attacks = None,
    attack: Attacks = None,
    norm: str = "linf",
    eps: Sequence[float | str] | float | str | None = None,
    steps: int | None = None,
    restarts: int = 1,
    limit: int | None = None,
    sample: Literal["auto", "first", "stratified"] = "auto",
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    full_budget: bool = False,
    through: str | None = None,
    queries: int | None = None,
    target: str | int | None = None,
    draws: int | None = None,
    micro_batch: int | None = None,
    budget: float | str | None = None,
    classes: Classes = None,
    label: str | int | None = None,
    label_offset: int = 0,
    gate: Gate | None = None,
    belief: int | str = "auto",
    out: Path | str | None = None,
    plan: bool = False,
    command: str = "epsball.audit(...)",
    progress: Progress | None = None,
    cluster: ShardCluster | None = None,
    started: float | None = None,
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> Audit:
    """Attack a model on images and say how often it is fooled, with what confidence.

    Args:
        model: a spec ("zoo:squeezenet", "my_file.py:factory", see `epsball list models`), or any
            callable that maps (n, c, h, w) in [0, 1] to logits (n, k). It is left as it is.
        data: a name ("mnist", "folder:PATH"), the path of an image with its label, a `Dataset`, a
            pair of images (n, c, h, w), uint8 or float in [0, 1], and labels (n,), or what
            `epsball.data.from_object` takes: data sets, loaders, data frames, lists, iterables.
        attacks: names, with settings where wanted: "pgd:steps=100,objective=margin"; functions of
            `epsball.attacks` do as well. None: fgsm, pgd (of ten steps for images beyond 64 pixels
            a side) and noise, the control; for a model that declares to give no gradient, square,
            hopskipjump (or boxes, for a decision tree) and noise.
        attack: the same, as the command calls it.
        norm: "linf", "l2", "l1" or "l0", where the attack has it.
        eps: radii, input units; "8/255" is understood. None: what suits norm and data.
        steps: for the attacks that take steps; None: their own default.
        restarts: for the attacks that are random.
        limit: how many images to use; None: all.
        sample: "first" takes the first; "stratified" a sample with every class in proportion;
            "auto" is stratified where the labels come sorted by class, else first.
        seed: of everything random.
        device: "auto", "cpu", "cuda" ...
        precision: of the search: "fast" searches on a cheaper copy, in bfloat16 where the device
            has instructions for it, asks the model itself in float32 about every success, and ends
            on it; "float32"; "auto": fast where it is faster here, float32 with full_budget.
            Verdicts are always float32. "bfloat16" and "float32-copy" name the copy.
        full_budget: give every image every step at every eps, those already wrong included, and
            measure confidence, sizes and survival too. Otherwise only verdicts are sought: an
            image is done with once it is fooled, at this and at every larger eps, and one that is
            wrong when clean carries its clean image.
        through: a transformation, "camera" or "camera:severity=2" for print and photograph,
            "jpeg:quality=50" ...: its destruction rate, the share of the fooled images that it
            makes harmless, is measured too. It implies full_budget. None: none.
        queries: calls of the model for an image, at most, for attacks that count queries.
        target: a class to reach, by name or number, "next", "least-likely", or a file of one class
            a line for every image of the data; for attacks that take one. None: any other class.
        draws: of a random model, whose mean is then attacked and judged (EoT); None: one at a time.
        micro_batch: images a forward pass; None: measured.
        budget: seconds, or text such as "10m"; a stratified sample is taken and the audit ends in
            time. None: no limit.
        classes: the model's classes in its order, one a line of a file, or a list: classes of the
            data are matched to them by name. None: by the names that the model knows, else labels
            are taken as they are.
        label: of a single image: the name or number of its class.
        label_offset: added to every label: 1 where the model's first class is "background".
        gate: a bar for robust accuracy. Unless its `when` is "all", images come in random order and
            the audit ends as soon as they settle whether the bar is reached. None: all images.
        belief: how many of the images that survive are attacked with AutoAttack's composition as a
            control of the verdict; where one falls, all images are, and a finding says so. "auto":
            of `strongest`, so many that the control costs no more than the verdict; "none".
        out: directory of the run; one that was killed is continued. None: nothing is kept.
        plan: foretell the cost and end: nothing is attacked and nothing is written. The summary's
            "foretold" has passes and seconds by phase.
        command: what to print under "how to reproduce".
        progress: shows how far the audit is.
        cluster: attacks the shards on its nodes; None: in this process. The records are the same.
        started: when the time of a budget began, by `time.monotonic`; None: now.
        **loading: weights, mean, std, resize, channels for a model named by a spec.

    Returns:
        Summary, records and findings. With a blocking finding every rate is None.

    Raises:
        EpsballError: bad input; nothing has been written then.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten().eval()
        >>> images = torch.eye(4).view(4, 1, 2, 2) * 0.5
        >>> report = audit(flat, (images, torch.arange(4)), eps=[0.1, 0.3], steps=5)
        >>> [row["robust_accuracy"] for row in report.summary["worst_case"]]
        [1.0, 0.0]
    """
    entered, phases = time.monotonic(), Phases()
    started = entered if started is None else started
    progress = progress or Silent()
    check_known("audit", loading, load_model)
    limit, micro_batch = whole("limit", limit), whole("micro_batch", micro_batch)
    full_budget, device = truth("full_budget", full_budget), str(device)
    seed, budget, requested = whole("seed", seed) or 0, read_seconds(budget), read_belief(belief)
    check_options(limit, seed, precision, micro_batch, budget, gate=gate)
    attacks = chosen("attacks", attacks, "attack", attack)
    if cluster is not None:
        check_cluster(cluster, budget)
    progress.begin("opening the data", 0)
    images = decoded_once(open_data(data, label=label, most=limit if sample == "first" else None))
    usual = default_attacks(images, steps)
    steps, queries = whole("steps", steps), whole("queries", queries)
    restarts = whole("restarts", restarts) or 0
    settings_of = partial(
        make_settings,
        norm=norm,
        eps=default_eps(images, norm) if eps is None else radii(eps),
        steps=steps,
        restarts=restarts,
        queries=queries,
        target=None if target is None else str(target),
    )
    settings = settings_of(usual if attacks is None else attack_texts(attacks))
    check_radii(settings, images.shape)
    if through is not None:
        # an image that is done with at its first success is barely fooled, and easily undone
        full_budget = True
        check_transform(through, images.shape)
    search = PRECISIONS["float32" if precision == "auto" and full_budget else precision]
    early = gate if gate is not None and gate.when == "early" and cluster is None else None
    request = Request(
        settings,
        limit,
        sample,
        seed,
        search,
        full_budget,
        through,
        micro_batch,
        budget,
        early,
        command,
    )
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as leaving:
        run = Path(scratch) / "run" if out is None else Path(out).expanduser()
        with deterministic(default_threads()), phases.during("planning"):
            progress.begin("loading the model", 0)
            subject = open_model(
                model, sample_of(images, 2)[0], device, draws=draws, seed=seed, **loading
            )
            leaving.callback(subject.restore)  # a refusal leaves the model as it was, too
            if attacks is None:
                names, most = attacks_for(subject, usual, queries)
                request = replace(request, settings=settings_of(names, queries=most))
            images, noted = fit_labels(subject, images, classes, label_offset)
            aimed = resolve_targets(
                request.settings, subject.info.classes, images.class_names, len(images)
            )
            dear = full_budget or budget is not None
            control = plan_control(requested, aimed, subject.info, seed=seed, dear=dear)
            request = replace(request, settings=aimed, control=control)
            begun = read_begun(run)
            planned = make_plan(
                subject, images, request, begun=begun, phases=phases, progress=progress
            )
        unused = check_effect(aimed, steps=steps, queries=queries, restarts=restarts)
        planned = _foretelling(planned, phases, (*noted, *unused))
        if plan:
            summary = summary_of(run, planned, planned.findings, (), phases)
            return Audit(summary, read_records(run, ()), None)
        planned = replace(planned, manifest=settle(run, planned.manifest))
        with deterministic(planned.manifest.engine.threads):
            summary = run_plan(
                run,
                subject,
                images,
                planned,
                # a page is drawn about as fast as libraries were loaded, on this machine and today
                clock=Clock(started, budget, drawing=entered - started),
                phases=phases,
                progress=progress,
                cluster=cluster,
            )
        path = None if out is None else run
        return Audit(summary, read_records(run), path, read_saved_images(run))


def _foretelling(plan: Plan, phases: Phases, noted: Sequence[Finding]) -> Plan:
    """Add what was noted of the data, and the cost of the whole run."""
    manifest = plan.manifest
    foretold = foretell(
        phases.as_dict(),
        plan.probe,
        plan.settings,
        manifest.engine,
        count=len(plan.positions),
        rate=plan.rate,
        rejects=manifest.model.rejects,
        control=plan.control,
    )
    return replace(plan, findings=(*noted, *plan.findings), foretold=foretold)
