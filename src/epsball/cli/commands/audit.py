"""`epsball audit`: the main job."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from epsball.cli.console import options
from epsball.cli.console.model_options import takes_model_options

if TYPE_CHECKING:
    from epsball.evaluation.distributed import ShardCluster
    from epsball.evaluation.result import Audit

MISSED, BLOCKED = 1, 3


@takes_model_options
def audit(
    model: options.Model,
    data: options.Data,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="As `epsball list attacks` has them; settings: pgd:objective=margin."),
    ] = None,
    norm: options.NormName = "linf",
    eps: Annotated[
        list[str] | None, typer.Option(help="Radius in [0, 1] units: 0.1 or 8/255; repeatable.")
    ] = None,
    target: options.Target = None,
    steps: options.Steps = None,
    restarts: options.Restarts = 1,
    limit: options.Limit = None,
    sample: options.SampleName = options.Sample.auto,
    defence: options.Defence = None,
    classes: options.Classes = None,
    label: options.Label = None,
    label_offset: options.LabelOffset = 0,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: Annotated[
        options.Precision, typer.Option(help="Of the search; verdicts are always float32.")
    ] = options.Precision.auto,
    full_budget: Annotated[
        bool,
        typer.Option(
            "--full-budget",
            help="Every step for every image; measures confidence, sizes and survival too.",
        ),
    ] = False,
    through: Annotated[
        str | None,
        typer.Option(help="Also judge fooled images after camera, camera:severity=2, jpeg ..."),
    ] = None,
    queries: Annotated[
        int | None, typer.Option(help="Questions an image, for attacks that count them.")
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(help="A random model is judged by the mean of so many draws (EoT).", min=1),
    ] = None,
    micro_batch: Annotated[
        int | None, typer.Option(help="Images a forward pass; measured where left out.", min=1)
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time to stop in, 10m: a fair sample is taken.")
    ] = None,
    fail_under: Annotated[
        str | None,
        typer.Option(help="Exit with 1 if worst-case robust accuracy is below: 0.4, 2/5 or 40%."),
    ] = None,
    judge: Annotated[
        Literal["point", "lower"],
        typer.Option(help="What --fail-under judges: the rate, or its interval's lower end."),
    ] = "point",
    gate: Annotated[
        Literal["early", "all"],
        typer.Option(help="With --fail-under: end once the verdict is settled, or attack all."),
    ] = "early",
    belief: Annotated[
        str,
        typer.Option(
            help="Survivors attacked with AutoAttack's composition as a control of the verdict: a "
            "number or none; auto: of strongest, for no more than the verdict cost."
        ),
    ] = "auto",
    executor: options.ExecutorName = options.Executor.local,
    address: options.Address = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory of the run; a killed one is continued.")
    ] = None,
    saliency: Annotated[
        bool, typer.Option("--saliency", help="Show what the model looks at in the report.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the cost foretold and end; nothing is written.")
    ] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="Write the figures as SVG, PNG and PDF too.")
    ] = False,
    *,
    loading: dict[str, Any],
) -> None:
    """Attack a model on images: how often is it fooled, and can the number be trusted?

    Without --attack and --eps it takes what suits the data, and says what. Exit code 0: done;
    1: --fail-under was missed; 2: bad input; 3: a blocking finding.

    Example: epsball audit zoo:base-cnn --weights model.safetensors --data mnist --eps 0.1 --eps 0.3
    """
    from epsball.evaluation.metrics.gate import Gate

    bar = None if fail_under is None else options.share(fail_under, "--fail-under")
    request = (model, data, attack, norm, eps, steps, restarts, limit, sample)
    more = (loading.get("weights"), seed, budget)
    loading |= {} if defence is None else {"defence": defence}
    run = out or options.default_out(
        "audit",
        *request,
        *more,
        loading,
        device,
        precision,
        full_budget,
        queries,
        draws,
        *(["classes", classes] if classes else []),
        *(["offset", label_offset] if label_offset else []),
        *(["label", label] if label else []),
        *(["target", target] if target else []),
        *(["through", through] if through else []),
        *(["random order"] if bar is not None and gate == "early" else []),
    )
    audited = _audited(
        model,
        data,
        attacks=attack,
        norm=norm,
        eps=eps,
        steps=steps,
        target=target,
        restarts=restarts,
        limit=limit,
        sample=sample.value,
        seed=seed,
        device=device,
        precision=precision.value,
        full_budget=full_budget,
        through=through,
        queries=queries,
        draws=draws,
        micro_batch=micro_batch,
        budget=budget,
        classes=classes,
        label=label,
        label_offset=label_offset,
        gate=None if bar is None else Gate(bar, judge, gate),
        belief=belief,
        run=run,
        plan=plan,
        cluster=_cluster(executor, address),
        **loading,
    )
    if plan:
        show_plan(audited)
    if saliency and not audited.blocked:
        from epsball.workflows.explain import explain

        explain(run, model, device=device, **loading)
    finish(audited, run, figures=figures, fail_under=bar, judge=judge)


def show_plan(audited: "Audit") -> NoReturn:
    """Print the findings so far and the cost of every phase, and exit."""
    from epsball.cli.console.show import out, show_finding, show_table
    from epsball.evaluation.planning.forecast import total
    from epsball.report.drawing.numbers import duration

    summary = audited.summary
    for finding in summary["findings"]:
        show_finding(out(), finding)
    phases = summary["foretold"] | {"total": total(summary["foretold"])}
    rows = [
        [name, f"{spent['forwards']:,}", f"{spent['backwards']:,}", duration(spent["seconds"])]
        for name, spent in phases.items()
    ]
    show_table(["phase", "forwards", "backwards", "time"], rows, title="foretold")
    raise typer.Exit(BLOCKED if audited.blocked else 0)


def _cluster(executor: options.Executor, address: str | None) -> "ShardCluster | None":
    """Return where shards are attacked; None: in this process."""
    if executor is options.Executor.local:
        options.refuse_cluster_options(address=address)
        return None
    from epsball.evaluation.distributed import ShardCluster

    return ShardCluster(address)


def _audited(model: str, data: str, run: Path, **request: object) -> "Audit":
    from epsball.cli.console.bars import Bars
    from epsball.cli.console.stopping import kept_audit

    started = time.monotonic()  # what loading takes is part of a time budget
    with kept_audit(run), Bars() as bars:
        bars.begin("loading PyTorch", 0)
        from epsball.evaluation.audit import audit as run_audit

        request |= {
            "command": options.command_line(),
            "progress": bars,
            "out": run,
            "started": started,
        }
        return run_audit(model, data, **request)  # type: ignore[arg-type]  # the command's own types


def finish(
    audited: "Audit",
    run: Path,
    *,
    figures: bool,
    fail_under: float | None,
    judge: Literal["point", "lower"] = "point",
) -> None:
    """Print the summary, write the report and the files for CI, and exit with the audit's code."""
    from epsball.cli.console.show import say, show_summary
    from epsball.evaluation.metrics.gate import judge_gate
    from epsball.evaluation.metrics.summary import add_report_seconds
    from epsball.report import write_report
    from epsball.report.ci.files import write_ci_files

    show_summary(audited.summary)
    started = time.perf_counter()
    page = write_report(run, figures=figures)
    add_report_seconds(run, time.perf_counter() - started)
    say(f"report: {page}")
    if audited.blocked or fail_under is None:
        write_ci_files(run)
        raise typer.Exit(BLOCKED if audited.blocked else 0)
    gate = judge_gate(audited.summary, fail_under, judge)
    say(", ".join(str(file) for file in write_ci_files(run, gate)))
    say(gate.sentence)
    raise typer.Exit(0 if gate.passed else MISSED)
