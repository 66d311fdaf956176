"""Departures and unstated values of study `neural-rejection`. Imports no torch."""

from typing import Any

from epsball.evaluation.metrics.present import percent
from epsball.studies.neural_rejection.base import AS_STATED, USED, as_stated, base_values
from epsball.studies.neural_rejection.measured import Results
from epsball.studies.neural_rejection.subjects import GOOD, SUBJECTS

_FIXED = (
    "Momentum, dropout, batch, decay and epochs of the network, kernel width, C and theta are the "
    "source's. Where dropout sits it does not say; here: after layers 7 and 8. Layers are named in "
    "its own numbering.",
    "One network and one fit of each defence: what repeats are draws of test images, without "
    "replacement, the same images for all defences, attacks and eps of a draw. So intervals are "
    "over draws, not over trainings, and the word seeds stands for draws on this page. Another "
    "training would move the numbers by more than the draws do.",
    "Theta is compared with Platt's probabilities as they are: ten machines, not normalised. A "
    "clean image that is rejected counts as wrong, an attacked one that is rejected as right, "
    "also where the bare image was wrong already.",
    "The last machine of DNR is fitted on what the others say of the images that they were "
    "fitted on, as in the source. The same with predictions out of fold stands beside it.",
    "Our rejection attack climbs the margin to rejection on raw scores, with a step length that is "
    "searched for; strongest is many attacks, each on what the others leave, among them that one "
    "with restarts and a black-box attack. Both are judged by verdicts on images of the first "
    "draw, the strongest on fewer of them; DNR's variants meet ours at one eps, and DNR the "
    "strongest, as the last of the ways of attacking. What is fooled within a small ball counts "
    "as fooled within a larger one. The verdicts of DNR and its variants come without an audit's "
    "checks (gradients, steps, noise), which on it take longer than the attacks.",
    "The numbers of the 2020 paper are not at hand: whether the attack is weaker than its attack "
    "is judged against that attack as we rebuilt it.",
)


def notes(results: Results) -> list[str]:
    """Say every choice of a value that the source does not state, and every departure.

    Args:
        results: the rows; what was chosen is read off them.
    """
    return [*_rate(results), *_attack(results), *_FIXED, *_harvest(results), *_training(results)]


def _rate(results: Results) -> list[str]:
    values = base_values(results, AS_STATED, "test", "accuracy")
    used = base_values(results, USED, "test", "accuracy")
    if not values or not used or AS_STATED == USED:
        return []
    told = ", ".join(percent(value) for value in values)
    if as_stated(results):
        return [
            f"Trained with the source's settings, in float32, the network ends with {told} of the "
            "test images right; whatever is attacked or defended here is built around it."
        ]
    return [
        f"Trained at the source's learning rate, the network ends with {told} of the test images "
        f"right. Below {percent(GOOD)} (of the test images; a rule of ours) another one is "
        "attacked and defended, trained at a tenth of that rate and otherwise as the source has "
        f"it, here with {percent(used[0])}; claims about defences are judged on that network, and "
        "say so."
    ]


def _attack(results: Results) -> list[str]:
    values = _settings(results)
    if not values:
        return []
    length = (
        "steps along the gradient whose length is searched for, beginning with 2 eps (every trial "
        "counts as a step)"
        if "step_size" not in values
        else f"raw gradient steps of fixed size {values['step_size']}"
    )
    return [
        "The source states neither step size, number of steps, clipping nor the hinge of the bare "
        f"network. Here: {length}, {values['steps']} at most, from a random point of the ball; a "
        f"image's walk ends where its loss changes by less than {values['tolerance']}, and its "
        "last point is returned, not its best; pixels are clipped to [0, 1]"
        f"{_precision(results)}. The hinge is summed over the machines of all classes, on "
        "probabilities; the bare network's are its softmax. Steps of fixed size and the "
        "hinge of one machine alone are among the ways of attacking."
    ]


def _precision(results: Results) -> str:
    row = results.one("harvest") or {}
    told = row.get("precision")
    if told in (None, "float32"):
        return ""
    on = "" if told == "fast" else f" in {told}"
    return (
        f"; gradients are taken on a cheaper copy of each model{on}, and what they lead to is "
        "judged by the model itself in float32"
    )


def _settings(results: Results) -> dict[str, str]:
    """Read the source's attack off the rows that name it in full."""
    for row in results.of_kind("harvest", "strip").iter_rows(named=True):
        parts = str(row["attack"]).partition(":")[2].split(",")
        found = dict(part.split("=", 1) for part in parts if "=" in part)
        if {"steps", "tolerance"} <= found.keys():
            return found
    return {}


def _harvest(results: Results) -> list[str]:
    told = list(results.of_kind("harvest").iter_rows(named=True))
    if not told:
        return []
    kept = ", ".join(f"{SUBJECTS[row['subject']].words}: {row['kept']:,}" for row in told)
    return [
        "How many images were added for retraining is not stated. Here the source's attack at "
        f"eps {results.middle or 0:g} is given {told[0]['n']:,} training images, and those that "
        f"pass as another class and did not before are added ({kept}); on the union the network is "
        "trained from fresh weights, and DNR fitted around the network that there was."
    ]


def _training(results: Results) -> list[str]:
    row: dict[str, Any] | None = results.one("train", net="pgd")
    if row is None or row.get("train_eps") is None:
        return []
    plain = results.one("train", net=USED)
    a_pass = plain["gradient_evaluations"] / plain["epochs_run"] if plain else 0
    times = row["gradient_evaluations"] / (row["epochs_run"] * a_pass) if a_pass else 0
    steps = f"; PGD takes {times - 1:.0f} steps" if times else ""
    return [
        "The source names training on enough adversarial data, and on a generator network, as "
        f"future work. Here both train within eps {row['train_eps']:g} in l2 for "
        f"{row['epochs_run']} epochs, without dropout, with an eps that rises over the first fifth "
        f"and averaged weights{steps}."
    ]
