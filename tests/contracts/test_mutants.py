"""Faults that other libraries have had, put into our attacks: the contract must detect each."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import epsball
from epsball.attacks import AttackSpec
from epsball.testing import Case, contract_cases

SOURCE = Path(epsball.__file__).parent / "attacks"

# name: (file, original text, replacement, attack that has the fault, rule that detects it)
MUTANTS = {
    "last point unscored": (
        "core/ascent.py",
        "self.best.update(points, goal.value(logits), goal.success(logits), rows, self.inside)",
        "return",
        "pgd",
        "check_strongest_point",
    ),
    "last point instead of best": (
        "core/ascent.py",
        "    return best.points\n\n\ndef is_exact",
        "    best.points[rows] = point\n    return best.points\n\n\ndef is_exact",
        "pgd",
        "check_strongest_point",
    ),
    "comparison reversed": (
        "core/best_seen.py",
        "(value > self.value[rows])",
        "(value < self.value[rows])",
        "pgd",
        "check_strongest_point",
    ),
    "success ignored in the ranking": (
        "core/best_seen.py",
        "better = (success & ~earlier) | ((success == earlier) & (value > self.value[rows]))",
        "better = value > self.value[rows] + 1e6 * earlier",
        "pgd",
        "check_strongest_point",
    ),
    "grad mode of the caller": (
        "core/ascent.py",
        "with torch.enable_grad():",
        "if True:",
        "pgd",
        "check_pure",
    ),
    "box forgotten": (
        "gradient/sign_family.py",
        "return moved.clamp(0, 1) if self.clip else moved",
        "return moved",
        "pgd",
        "check_ball_and_box",
    ),
    "ball forgotten": (
        "gradient/sign_family.py",
        "moved = self.inputs + project(delta, self.eps, self.norm)",
        "moved = self.inputs + delta",
        "pgd",
        "check_ball_and_box",
    ),
    "descent taken for ascent": (
        "gradient/sign_family.py",
        'return loss if self.choice.direction == "ascent" else -loss',
        "return loss",
        "bim",
        "check_targets",
    ),
    "sign of targeted flipped": (
        "gradient/pgd.py",
        "return -self.objective(logits, self.targets)",
        "return self.objective(logits, self.targets)",
        "pgd",
        "check_targets",
    ),
    "rejection ignored": (
        "gradient/pgd.py",
        "against_rejection(logits, self.labels, classes)",
        "logits[:, :classes]",
        "pgd",
        "check_past_rejection",
    ),
    "rejected counts as fooled": (
        "gradient/pgd.py",
        "self.targets, classes=classes)",
        "self.targets)",
        "pgd",
        "check_past_rejection",
    ),
    "line search downhill": (
        "gradient/line_search.py",
        "trial = point + per_row",
        "trial = point - per_row",
        "rejection",
        "check_linear_oracle",
    ),
    "direction reversed": (
        "gradient/sign_family.py",
        "delta = visit.point + length",
        "delta = visit.point - length",
        "fgsm",
        "check_linear_oracle",
    ),
    "start outside the box": (
        "gradient/pgd.py",
        ").clamp(0, 1)",
        ")",
        "pgd",
        "check_ball_and_box",
    ),
    "noise twice as large": (
        "black_box/noise.py",
        "project(delta, eps, norm)",
        "2 * delta",
        "noise",
        "check_ball_and_box",
    ),
    "sweep forgets its eps": (
        "gradient/fgsm.py",
        "step_size=e,",
        "step_size=max(eps),",
        "fgsm",
        "check_sweep",
    ),
    "inputs changed in place": (
        "gradient/pgd.py",
        "start = inputs.detach().clone()",
        "start = inputs.detach().mul_(0.999)",
        "pgd",
        "check_pure",
    ),
    "auto step downhill": (
        "gradient/auto_step.py",
        "self._inside(point + length * steepest",
        "self._inside(point - length * steepest",
        "apgd",
        "check_linear_oracle",
    ),
    "only one class tried": (
        "gradient/apgd_t.py",
        "return [Mislead(model, dlr, labels, targets)]",
        "return [Mislead(model, dlr, labels, None)]",
        "apgd-t",
        "check_targets",
    ),
    "global randomness": (
        "black_box/noise.py",
        "sample = _draw(inputs.detach(), distribution, generator)",
        "sample = _draw(inputs.detach(), distribution, None)",
        "noise",
        "check_pure",
    ),
}


@pytest.fixture
def mutated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the attacks, importable under another name."""
    package = tmp_path / "mutated_attacks"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in package.rglob("*.py"):
        file.write_text(file.read_text().replace("epsball.attacks", "mutated_attacks"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.startswith("mutated_attacks")]:
        del sys.modules[name]


def network_cases(spec: AttackSpec, rule: str) -> list[Case]:
    cases = contract_cases(spec)
    return [case for case in cases if case.rule.name == rule and case.rejector is None]


def breaks(case: Case, seed: int) -> bool:
    try:
        case.run(seed)
    except Exception:  # a mutant may fail in any way
        return True
    return False


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_breaks_a_rule(name: str, mutated: Path) -> None:
    file, original, replacement, attack, rule = MUTANTS[name]
    text = (mutated / file).read_text()
    assert original in text, f"the mutant {name!r} no longer fits {file}"
    (mutated / file).write_text(text.replace(original, replacement))
    spec = importlib.import_module("mutated_attacks").ATTACKS[attack]
    cases = network_cases(spec, rule)
    assert any(breaks(case, seed) for seed in range(4) for case in cases)


def test_the_unchanged_copy_keeps_the_rules(mutated: Path) -> None:
    table = importlib.import_module("mutated_attacks").ATTACKS
    for attack, rule in {(attack, rule) for _, _, _, attack, rule in MUTANTS.values()}:
        for case in network_cases(table[attack], rule):
            case.run()
