"""`epsball demo`: the whole of it on data that ships with scikit-learn."""

from pathlib import Path
from typing import Annotated, Any

import typer

DATA, MODEL, EPS, STEPS = "digits", "zoo:base-cnn", (0.05, 0.1, 0.2), 20
RECIPES: dict[str, dict[str, Any]] = {
    "standard": {"recipe": "standard", "epochs": 12},
    "fgsm-mix": {"recipe": "fgsm-mix", "eps": 0.1, "epochs": 12},
}


def demo(
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo-run"),
) -> None:
    """Train a small network twice, plain and on adversarial examples, and audit both.

    Takes a minute or two; needs no network. Given again, it continues or shows the result.

    Example: epsball demo --out demo-run
    """
    from epsball.cli.commands.compare import compare
    from epsball.cli.console.show import say

    runs = [_trained_and_audited(name, changes, out) for name, changes in RECIPES.items()]
    compare(runs, out)
    for run in runs:
        say(f"report: {run / 'report.html'}")


def _trained_and_audited(name: str, changes: dict[str, Any], out: Path) -> Path:
    from epsball.cli.commands.train import trained
    from epsball.cli.console.bars import Bars
    from epsball.cli.console.show import say, show_summary
    from epsball.evaluation.audit import audit
    from epsball.report import write_report

    say(f"{MODEL} on {DATA}, recipe {name}")
    result = trained(MODEL, DATA, out / name / "training", changes, {})
    run = out / name / "audit"
    command = f"epsball audit {MODEL} --weights {result.weights} --data {DATA} --steps {STEPS}"
    command += "".join(f" --eps {eps}" for eps in EPS) + " --full-budget"
    with Bars() as bars:
        audited = audit(
            MODEL,
            DATA,
            weights=result.weights,
            eps=EPS,
            steps=STEPS,
            full_budget=True,
            out=run,
            command=command,
            progress=bars,
        )
    show_summary(audited.summary)
    write_report(run)
    return run
