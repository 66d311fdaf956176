"""What `epsball defend` prints of a defence that was fitted."""

from collections.abc import Sequence

from epsball.cli.console.show import hint, say, share, show_table
from epsball.evaluation.metrics.present import percent
from epsball.types import Dataset
from epsball.workflows.defend import FittedDefence
from epsball.workflows.worth import MachineFacts, Worth, machine_facts, remedies, worth_of

_IMAGES = {
    "test": "clean test images",
    "left out": "clean images that the fit left out",
    "fit": "the images of the fit itself, which flatters,",
}


def show_fitted(fitted: FittedDefence, test: Dataset) -> None:
    """Print what was learned, what it makes of clean images, and what to try if that is bad."""
    say(f"fitted on {fitted.images:,} images in {fitted.seconds:.0f} s")
    machines = machine_facts(fitted)
    _show_machines(machines)
    worth = worth_of(fitted, test)
    say(_told(worth))
    if fitted.false_rejection is not None:
        share, count, low, high = fitted.false_rejection
        say(
            f"the threshold was set on {count:,} images to reject {percent(share)} of clean ones; "
            f"of others it rejects {percent(low)} to {percent(high)} (95 % confidence)"
        )
    for remedy in remedies(worth, machines, fitted.rejector):
        hint(remedy)


def _show_machines(machines: Sequence[MachineFacts]) -> None:
    """Print what the machines of a defence learned; nothing where there is none."""
    if not machines:
        return
    heads = ("layer", "features", "gamma", "C", "support vectors", "right, cross-validated")
    rows = [
        [
            one.layer,
            f"{one.features:,}",
            f"{one.gamma:.3g}",
            f"{one.c:.3g}",
            f"{one.support_vectors:,} of {one.images:,}",
            share(one.accuracy),
        ]
        for one in machines
    ]
    show_table(heads, rows)


def _told(worth: Worth) -> str:
    """Say what a defence makes of clean images."""
    wrong = max(0.0, 1 - worth.right - worth.rejected)
    return (
        f"of {worth.images:,} {_IMAGES[worth.seen]} the model alone names "
        f"{percent(worth.bare)} right; with the defence {percent(worth.right)} are accepted and "
        f"right, {percent(worth.rejected)} are rejected, {percent(wrong)} are accepted and wrong"
    )
