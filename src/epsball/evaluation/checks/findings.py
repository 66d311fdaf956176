"""Every doubt about an evaluation: code, severity, remedy. docs/findings.md explains each."""

from dataclasses import dataclass
from typing import Any

from epsball.types import Finding, Severity


@dataclass(frozen=True)
class FindingSpec:
    """One kind of finding.

    Args:
        severity: "blocking" means that no rate is printed.
        remedy: what to do about it.
    """

    severity: Severity
    remedy: str


# the same question need not be answered the same way: checks that ask again mean nothing
RANDOM = ("random-forward", "few-draws")
FINDINGS: dict[str, FindingSpec] = {
    # before the attacks
    "inputs-out-of-range": FindingSpec(
        "blocking",
        "give images as uint8 or as float in [0, 1], and put mean and std into the model "
        "(--mean, --std)",
    ),
    "train-mode": FindingSpec(
        "blocking",
        "call model.eval() before the audit, return model.eval() from the factory, or add --eval",
    ),
    "put-in-eval": FindingSpec(
        "info", "return model.eval() from the factory, so that every caller gets the same model"
    ),
    "state-moved": FindingSpec(
        "warning",
        "keep statistics, counters, steps of an optimiser and changes of mode out of forward: all "
        "of them were put back, but what was measured may depend on the forward passes before it",
    ),
    "batch-dependent": FindingSpec(
        "blocking",
        "make the score of an image independent of its neighbours: eval mode for batch norm, "
        "no statistics over the batch; int8 dynamic quantisation scales by the whole batch: audit "
        "the network before it, or with --micro-batch 1",
    ),
    "random-forward": FindingSpec(
        "warning",
        "fix the model's randomness, or read the result as that of one draw: a fair attack climbs "
        "the mean of many (EoT: --draws 20, or epsball.attacks.expectation(model, samples=20))",
    ),
    "few-draws": FindingSpec(
        "warning", "raise the number of draws (--draws, samples=) until the rates stay as they are"
    ),
    "non-finite-scores": FindingSpec(
        "blocking", "find where the model divides by zero or overflows"
    ),
    "probabilities-not-logits": FindingSpec(
        "warning", "return logits: leave the final softmax out of the model"
    ),
    "log-probabilities": FindingSpec(
        "info", "nothing needs to be done: their softmax is the model's own"
    ),
    "bounded-scores": FindingSpec(
        "warning", "return what goes into the sigmoid: behind it gradients saturate"
    ),
    "flat-scores": FindingSpec(
        "warning",
        "attack the margin, which does not depend on the scale of the scores "
        "(pgd:objective=margin), or leave the large temperature out of the model",
    ),
    "near-chance": FindingSpec(
        "warning",
        "check the preprocessing (--mean, --std, --channels, --resize), the weights and the order "
        "of the classes",
    ),
    "other-scaling": FindingSpec(
        "warning", "give the model the scaling that it was trained with, then audit again"
    ),
    "class-order": FindingSpec(
        "warning", "put labels and scores into the same order: --classes FILE, --label-offset"
    ),
    "unknown-classes": FindingSpec(
        "warning",
        "check that the model returns one score a class and not an embedding or features, and "
        "match its classes to the labels with --classes FILE",
    ),
    "class-shares": FindingSpec(
        "warning",
        "check the preprocessing (--mean, --std, --channels, --resize), the weights and the order "
        "of the classes",
    ),
    "below-chance": FindingSpec(
        "blocking",
        "check the order of the classes (--classes, --label-offset) and whether scores are turned "
        "round: distances or losses name the worst class",
    ),
    "images-nearly-black": FindingSpec(
        "blocking",
        "give images as uint8 from 0 to 255 or as float from 0 to 1: divide by the largest value "
        "that they can have",
    ),
    "classes-matched": FindingSpec(
        "info",
        "nothing needs to be done if the names mean the same; otherwise list the classes with "
        "--classes FILE",
    ),
    "class-order-assumed": FindingSpec(
        "info",
        "list the classes in the model's order, one a line, in classes.txt of the folder, or with "
        "--classes FILE",
    ),
    "few-classes": FindingSpec(
        "info", "read top-5 and confidence with care: below four classes they say little"
    ),
    "zero-gradient": FindingSpec(
        "warning",
        "use an objective on logits (pgd:objective=margin) and look for saturation, rounding or "
        "clipping in the model",
    ),
    "no-gradient": FindingSpec(
        "blocking",
        "gradient attacks cannot see this model: give its rounding or other flat steps a gradient "
        "(BPDA: epsball.attacks.bpda), or use attacks that need none (--attack square)",
    ),
    "foreign-gradient": FindingSpec(
        "warning",
        "attack the network in float32, unquantised and without detach() or no_grad() on a branch; "
        "where the gradient is another's on purpose, use --attack square or strongest as well",
    ),
    "constant-gradient": FindingSpec(
        "warning", "check that the scores depend on the image beyond a fixed linear map"
    ),
    "below-8-bit": FindingSpec("info", "an eps of at least 1/255 is what a saved image can hold"),
    "option-without-effect": FindingSpec(
        "info",
        "leave the option out, or add an attack that takes it (`epsball list attacks` shows the "
        "settings of each)",
    ),
    # after the attacks
    "eps-zero-differs": FindingSpec(
        "blocking", "mend the attack: with eps = 0 it must return the clean images"
    ),
    "outside-ball": FindingSpec("blocking", "mend the attack: its result leaves the eps-ball"),
    "outside-box": FindingSpec("blocking", "mend the attack: its pixels leave [0, 1]"),
    "unclipped": FindingSpec("info", "leave clip=false out unless a source is reproduced with it"),
    "accuracy-mismatch": FindingSpec(
        "blocking", "the model's scores change from call to call: make it deterministic"
    ),
    "larger-eps-helps": FindingSpec(
        "warning", "the attack oversteps or its gradient is masked: use pgd with more steps"
    ),
    "more-steps-help": FindingSpec(
        "warning", "the step is too large or the gradient masked: try pgd with restarts"
    ),
    "not-converged": FindingSpec(
        "warning",
        "raise --steps until doubling them changes nothing (leave step_size out), then --restarts",
    ),
    "one-step-stronger": FindingSpec(
        "warning", "a sign of masked gradients: do not trust the iterative attack's number alone"
    ),
    "noise-as-strong": FindingSpec(
        "warning", "the gradient leads nowhere: look for masked gradients"
    ),
    "black-box-stronger": FindingSpec(
        "warning", "the gradient misleads: look for masked gradients"
    ),
    "loss-not-rising": FindingSpec(
        "warning", "lower the step size (step_size=) or look for masked gradients"
    ),
    "unconstrained-failure": FindingSpec(
        "warning",
        "distrust this attack at every eps: climb the margin (pgd:objective=margin), give flat "
        "steps a gradient (BPDA: epsball.attacks.bpda), or use --attack square or strongest",
    ),
    "gradient-noise": FindingSpec(
        "warning",
        "climb the mean over small noise (EoT: epsball.attacks.expectation), or use attacks that "
        "need no gradient: --attack square or strongest",
    ),
    "silent-success": FindingSpec(
        "warning",
        "use an attack that returns the best point it sees, not the last (pgd, apgd), or leave "
        "--full-budget out: a walk then ends where it succeeds",
    ),
    "transfer-failure": FindingSpec(
        "warning",
        "search on the model itself (--precision float32), or give it a stand-in whose scores are "
        "its own and only the gradient another's (epsball.attacks.bpda)",
    ),
    "lost-at-8-bits": FindingSpec(
        "info", "read the survives columns: saved as images, some adversarial images are not"
    ),
    "checks-cut-short": FindingSpec(
        "info", "give a longer --budget, or read the number as one that not every check has seen"
    ),
    "attacks-cut-short": FindingSpec(
        "warning", "give a longer --budget: the rate can only fall; or take a cheaper attack"
    ),
    "verdict-too-high": FindingSpec(
        "warning",
        "quote the worst case, which has AutoAttack's results in it, and look for masked gradients",
    ),
    "control-without-gradient": FindingSpec(
        "warning",
        "give the model's flat steps a gradient (BPDA: epsball.attacks.bpda), or read the number "
        "as one that nothing has controlled",
    ),
    "low-precision-search": FindingSpec(
        "info", "search again with --precision float32 before quoting the number"
    ),
}


def finding(code: str, message: str, **evidence: Any) -> Finding:  # noqa: ANN401 - any value
    """Make a finding of a known code.

    Args:
        code: a key of `FINDINGS`.
        message: the observation, in one sentence.
        evidence: the numbers behind it.
    """
    spec = FINDINGS[code]
    return Finding(code, spec.severity, message, evidence, spec.remedy)


def cut_short(which: str) -> Finding:
    """Say that a time budget ended before some checks."""
    return finding("checks-cut-short", f"the time budget ended during the checks {which}")


def cut_short_attacks(ended: int, images: int) -> Finding:
    """Say that a time budget ended attacks before they were done.

    Args:
        ended: images on which an attack had not succeeded when it was ended.
        images: of the run.
    """
    message = (
        f"the time budget ended an attack on {ended:,} of {images:,} images before it was done: "
        "where nothing had fooled them by then, they count as right"
    )
    return finding("attacks-cut-short", message, ended=ended, images=images)


def is_blocked(findings: list[Finding]) -> bool:
    """Say whether any finding forbids printing a rate."""
    return any(one.severity == "blocking" for one in findings)
