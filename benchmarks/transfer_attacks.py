"""Transfer attacks side by side on trained CIFAR-10 networks, and beside their reference code.

Every attack is made on the source network and judged on all victims. Success of an attack on a
victim is the share of the images that source and victim both get right when clean, and that the
victim gets wrong after the attack. The reference is the package transferattack
(github.com/Trustworthy-AI-Group/TransferAttack): its classes get the same images, networks, eps,
steps and step length, and draw random numbers of their own.

    python -m benchmarks.transfer_attacks --source FILE --victim FILE [--victim FILE ...] \
        --out DIR [--reference FOLDER] [--page FILE]

FILE are weights of zoo:vgg-cifar; for another network of the zoo, or to show victims as a group of
their own, it is GROUP:NAME=FILE. FOLDER is a checkout of the reference. Attacked images are kept in
DIR; a run that was stopped goes on where it stopped, and other victims can be judged later.
"""

import argparse
import importlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from epsball.data import load_data, to_unit
from epsball.evaluation.settings import make_settings
from epsball.models import load_model

STEPS, SEED, BATCH, NETWORK = 10, 0, 50, "vgg-cifar"
COMMAND = (
    "python -m benchmarks.transfer_attacks --source FILE --victim FILE ... --reference FOLDER "
    "--eps ... --images ... --out DIR --page docs/results/transfer-attacks.md"
)
# ours by its setting, and the reference's class of the same method
ATTACKS: dict[str, tuple[str, str | None]] = {
    "fgsm": ("fgsm", None),
    "pgd": ("pgd", None),
    "mifgsm": ("mifgsm", None),
    "mifgsm, step eps / 10": ("mifgsm:step_size={step}", "gradient.mifgsm.MIFGSM"),
    "nifgsm": ("nifgsm", "gradient.nifgsm.NIFGSM"),
    "diversity (DIM)": ("transfer:views=diversity", "input_transformation.dim.DIM"),
    "kernel 15 (TIM)": ("transfer:views=none,kernel=15", "input_transformation.tim.TIM"),
    "scale (SIM)": ("transfer:views=scale", "input_transformation.sim.SIM"),
    "variance (VMI)": ("transfer:views=none,estimate=variance", "gradient.vmifgsm.VMIFGSM"),
    "structure (SIA)": ("transfer", "input_transformation.sia.SIA"),
    "shuffle (BSR)": ("transfer:views=shuffle", "input_transformation.bsr.BSR"),
    "flat (MEF)": ("mef", "gradient.mef.MEF"),
}
# gradients of one step, where it takes more than one: copies, times neighbours
PASSES = {"scale (SIM)": 5, "variance (VMI)": 21, "structure (SIA)": 20, "shuffle (BSR)": 20}
PASSES |= {"flat (MEF)": 20}


def main() -> None:
    """Attack, judge and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--victim", action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--eps", type=int, action="append", required=True, help="in grey levels")
    parser.add_argument("--only", nargs="*", default=list(ATTACKS))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    source = opened(given.source)
    images, labels = right_images(source, given.images)
    lines = []
    for eps in given.eps:
        for name in given.only:
            attacks = attacks_of(name, source, eps / 255, given.reference)
            for code, attack in attacks.items():
                file = given.out / f"{eps}-{name.replace(' ', '-').replace('/', '')}-{code}.npz"
                if not file.exists():
                    seconds, attacked = timed(attack, images, labels)
                    np.savez(file, attacked=attacked.numpy(), seconds=seconds)
                    print(file, seconds, flush=True)
                lines.append({"eps": eps, "attack": name, "code": code, "file": file})
    victims = [opened(one) for one in given.victim]
    judge(lines, images, labels, [source, *victims])
    for line in lines:
        print({key: value for key, value in line.items() if key != "file"}, flush=True)
    if given.page:
        given.page.write_text(page(lines, given))


def timed(
    attack: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor
) -> tuple[float, Tensor]:
    """Return the seconds of an attack and its images."""
    torch.manual_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - the reference draws from it
    started = time.monotonic()
    parts = zip(images.split(BATCH), labels.split(BATCH), strict=True)
    attacked = torch.cat([attack(*part) for part in parts])
    return time.monotonic() - started, attacked


def opened(weights: str) -> nn.Module:
    """Load a network."""
    network, _, file = weights.rpartition("=")
    name = network.rpartition(":")[2] or NETWORK
    model: Any = load_model(f"zoo:{name}", weights=file, device="cpu").model
    return model.eval().requires_grad_(requires_grad=False)


def right_images(source: nn.Module, count: int) -> tuple[Tensor, Tensor]:
    """Return the first test images that the source gets right, (n, 3, 32, 32) in [0, 1]."""
    data = load_data("cifar10", split="test")
    images = to_unit(data.read(np.arange(2 * count)))
    labels = torch.from_numpy(data.labels[: 2 * count])
    right = classes(source, images) == labels
    return images[right][:count], labels[right][:count]


def classes(model: nn.Module, images: Tensor) -> Tensor:
    """Return predictions, (n,)."""
    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in images.split(100)])


def attacks_of(
    name: str, source: nn.Module, eps: float, reference: Path | None
) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return our attack, and the reference's of the same method where there is one."""
    text, reference_class = ATTACKS[name]
    (setting,) = make_settings([text.format(step=eps / STEPS)], norm="linf", eps=[eps], steps=STEPS)
    arguments = setting.arguments(eps)

    def ours(images: Tensor, labels: Tensor) -> Tensor:
        return setting.spec.attack(source, images, labels, generator=None, **arguments)

    attacks = {"epsball": ours}
    if reference is None or reference_class is None:
        return attacks
    sys.path.insert(0, str(reference))
    module, _, kind = reference_class.rpartition(".")
    base: Any = getattr(importlib.import_module(f"transferattack.{module}"), kind)
    local = type("Local", (base,), {"load_model": lambda self, name: source})  # noqa: ARG005
    method = local(model_name="", epsilon=eps, alpha=eps / STEPS, epoch=STEPS)

    def theirs(images: Tensor, labels: Tensor) -> Tensor:
        return (images + method(images, labels)).clamp(0, 1).detach()

    return attacks | {"reference": theirs}


def judge(
    lines: list[dict[str, Any]], images: Tensor, labels: Tensor, models: list[nn.Module]
) -> None:
    """Add to each line [fooled, right when clean] of every model, the source first."""
    rights = [classes(model, images) == labels for model in models]
    for line in lines:
        saved = np.load(line["file"])
        attacked = torch.from_numpy(saved["attacked"])
        rounded = (attacked * 255).round() / 255  # as an image file holds it
        line["linf"] = float((attacked - images).abs().max())
        line["seconds"] = float(saved["seconds"])
        line["counts"] = [
            [int((classes(model, rounded) != labels)[right].sum()), int(right.sum())]
            for model, right in zip(models, rights, strict=True)
        ]


def page(lines: list[dict[str, Any]], given: argparse.Namespace) -> str:
    """Return the page."""
    groups = [victim.rpartition("=")[0].partition(":")[0] or NETWORK for victim in given.victim]
    names = list(dict.fromkeys(groups))
    members = {name: [n for n, group in enumerate(groups, 1) if group == name] for name in names}
    body = [
        "# Transfer attacks on CIFAR-10",
        "",
        f"The first {given.images} test images that the source, a {NETWORK}, gets right; linf, "
        f"{STEPS} steps, images judged in 8 bits. A rate is the share of the images that source "
        "and victim get right when clean and that the victim gets wrong after the attack, over all "
        "victims of a group: "
        + ", ".join(f"{len(members[name])} {name}" for name in names)
        + ". The number in brackets is that of the reference implementation (transferattack) on "
        "the same images and networks, with eps, steps and step length the same. It draws random "
        "numbers of its own, so that methods with random views differ by some pairs; methods "
        "without any are equal to the last image.",
    ]
    for eps in given.eps:
        body += ["", f"## eps {eps}/255", ""]
        body += [f"| attack | gradients a step | source | {' | '.join(names)} |"]
        body += ["| --- " * (3 + len(names)) + "|"]
        for name in given.only:
            both = {x["code"]: x["counts"] for x in lines if (x["eps"], x["attack"]) == (eps, name)}
            cells = [_cell(both, [0]), *(_cell(both, members[group]) for group in names)]
            body.append(f"| {name} | {PASSES.get(name, 1)} | {' | '.join(cells)} |")
        rates = {
            x["attack"]: [_rate(x["counts"], members[group]) for group in names]
            for x in lines
            if x["eps"] == eps and x["code"] == "epsball"
        }
        body.append("")
        for number, group in enumerate(names):
            best = max(rates, key=lambda name: rates[name][number])
            plain, high = rates["mifgsm"][number], rates[best][number]
            ratio = f", {high / plain:.2f} times that of mifgsm" if plain else ""
            pairs = sum(lines[0]["counts"][one][1] for one in members[group])
            body.append(
                f"- Highest on {group} ({pairs} pairs of image and victim): {best}, "
                f"{high:.1%}{ratio}."
            )
    body += ["", "Made by:", "", f"    {COMMAND}"]
    return "\n".join(body) + "\n"


def _cell(both: dict[str, list[list[int]]], members: list[int]) -> str:
    """Return a rate, and that of the reference in brackets."""
    rates = {code: f"{_rate(counts, members):.1%}" for code, counts in both.items()}
    reference = rates.get("reference")
    return rates["epsball"] + (f" ({reference})" if reference else "")


def _rate(counts: list[list[int]], members: list[int]) -> float:
    """Return the share of right images that are fooled, over several models."""
    return sum(counts[one][0] for one in members) / sum(counts[one][1] for one in members)


if __name__ == "__main__":
    main()
