"""Verdicts of study neural-rejection on rows that are made up, so that they are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import pytest

from epsball.studies.claims.table import Verdict, load_claims
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.claims import judge
from epsball.studies.neural_rejection.results import Results

MNIST = DataSummary("mnist", "abc", 60_000, 10_000, (1, 28, 28), 10)
ASKED = Options(seeds=5, limit=1000, train_limit=30_000)
EPS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
BEYOND = (4.0, 5.0, 6.0)
Left = Callable[[str, str, float], float]  # subject, attack, eps: what is left


def left(subject: str, attack: str, eps: float) -> float:
    """Fall with eps as the source has it: all alike up to 3, DNR ahead from there."""
    falls = {
        "none": 0.16,
        "msp": 0.15,
        "nr": 0.12,
        "dnr": 0.08,
        "retrained": 0.155,
        "dnr-retrained": 0.075,
        "pgd": 0.04,
        "generator": 0.1,
    }[subject]
    harder = {"none": 0.0, "limited": 0.5, "source": 1.0, "rejection": 1.25, "strongest": 1.5}
    strength = harder[attack]
    clean = 0.96 if subject == "pgd" else 0.99
    return clean - strength * (0.01 * eps + falls * max(0.0, eps - 3))


def rejected(subject: str, attack: str, eps: float) -> float:
    """Follow the same pattern, less strongly."""
    gain = {"none": 0.0, "nr": 0.1, "dnr": 0.12}.get(subject, 0.05)
    return 0.01 * eps + gain * max(0.0, eps - 3)


@dataclass(frozen=True)
class World:
    """What made-up rows say.

    Args:
        left: accuracy by subject, attack and eps.
        rejected: rejection rate likewise.
        rungs: accuracy by rung and subject.
        nets: by net and split: loss and accuracy, of every training.
        seconds: of fitting DNR.
    """

    left: Left = left
    rejected: Left = rejected
    rungs: Mapping[tuple[str, str], float] | None = None
    nets: Mapping[tuple[str, str], tuple[tuple[float, float], ...]] | None = None
    seconds: float = 50.0

    def changed(self, changes: Mapping[tuple[str, str, float], float]) -> "World":
        """Return a world that differs in some accuracies, by subject, attack and eps."""
        before = self.left
        return replace(self, left=lambda *where: changes.get(where, before(*where)))


RUNGS = {("hinge", "nr"): 0.8, ("hinge", "dnr"): 0.9, ("margin", "nr"): 0.3, ("margin", "dnr"): 0.4}
NETS = {
    ("source", "train"): ((0.0690, 0.9820), (0.0700, 0.9822), (0.0680, 0.9818)),
    ("source", "test"): ((0.0450, 0.9893), (0.0470, 0.9899), (0.0460, 0.9895)),
    ("base", "train"): ((0.0047, 0.9986),),
    ("base", "test"): ((0.0300, 0.9930),),
}
A_PASS = 30_000


def rows_of(world: World) -> list[dict[str, Any]]:
    nets = NETS if world.nets is None else world.nets
    results: list[dict[str, Any]] = []
    for (net, split), trainings in nets.items():
        for repeat, (loss, right) in enumerate(trainings):
            if split == "train":
                results.append(
                    {
                        "kind": "train",
                        "net": net,
                        "repeat": repeat,
                        "train_loss": loss,
                        "train_accuracy": right,
                        "epochs_run": 50,
                        "training_seconds": 500.0,
                        "gradient_evaluations": 50 * A_PASS,
                    }
                )
            else:
                results.append(
                    {
                        "kind": "losses",
                        "mode": "losses",
                        "net": net,
                        "repeat": repeat,
                        "split": split,
                        "loss": loss,
                        "accuracy": right,
                        "n": 10_000,
                    }
                )
    results.append(
        {
            "kind": "train",
            "net": "pgd",
            "repeat": 0,
            "train_loss": 0.5,
            "train_accuracy": 0.9,
            "epochs_run": 10,
            "training_seconds": 800.0,
            "gradient_evaluations": 80 * A_PASS,
        }
    )
    results.append(
        {
            "kind": "fit",
            "fit": "dnr",
            "combiner": "in-sample",
            "repeat": 0,
            "n": A_PASS,
            "fit_seconds": world.seconds,
        }
    )
    many = [(s, draw) for s in ("none", "msp", "nr", "dnr") for draw in range(5)]
    once = [(s, 0) for s in ("retrained", "dnr-retrained", "pgd", "generator")]
    for subject, draw in many + once:
        attacks = ["source"]
        if draw == 0:  # as the plan has it: the dearer, the fewer
            attacks += ["rejection"] + ["limited"] * (subject in ("msp", "nr", "dnr"))
            attacks += ["strongest"] * (subject in ("none", "nr", "dnr"))
        results += [
            _attacked(world, (subject, a, eps), draw)
            for a in attacks
            for eps in EPS
            if not (a == "rejection" and subject == "dnr-retrained" and eps != 3)
        ]
        results.append(_attacked(world, (subject, "none", 0.0), draw))
    rungs = RUNGS if world.rungs is None else world.rungs
    results += [
        {
            "kind": "ladder",
            "mode": "verdicts",
            "subject": subject,
            "repeat": 0,
            "eps_asked": 3.0,
            "attack": f"rung:{rung}",
            "eps": 3.0,
            "n": 200,
            "accuracy": share,
        }
        for (rung, subject), share in rungs.items()
    ]
    return results


def _attacked(world: World, where: tuple[str, str, float], draw: int) -> dict[str, Any]:
    subject, attack, eps = where
    kinds = {"limited": "limited", "rejection": "strong", "strongest": "strong"}
    return {
        "kind": kinds.get(attack, "curve"),
        "mode": "whole",
        "subject": subject,
        "repeat": draw,
        "attack": attack,
        "eps": eps,
        "eps_asked": eps,
        "n": 1000,
        "accuracy": world.left(*where) + 0.001 * draw,
        "rejected": world.rejected(*where),
    }


def verdicts(
    world: World | None = None,
    *,
    options: Options = ASKED,
    data: DataSummary = MNIST,
    without: Callable[[dict[str, Any]], bool] = lambda _: False,
) -> dict[str, Verdict]:
    rows = [row for row in rows_of(world or World()) if not without(row)]
    judged = judge(Results(pl.DataFrame(rows, infer_schema_length=None)), options, data)
    assert len(judged) == len(load_claims("neural-rejection")) == 13
    return {v.id.removeprefix("neural-rejection."): v for v in judged}


FINDINGS = {
    "crossover",
    "rejection",
    "retraining",
    "weaker-attack",
    "cheaper",
    "dnr-over-nr",
    "enough-data",
    "knowledge",
    "train-below-test",
}


def test_a_world_like_the_sources() -> None:
    judged = verdicts()
    assert {name for name, v in judged.items() if v.verdict == "holds"} == FINDINGS
    assert {name for name, v in judged.items() if v.verdict == "match"} == judged.keys() - FINDINGS
    # defences are put around the network of a tenth of the rate, some on the first draw alone
    own = {"train-below-test"} | (judged.keys() - FINDINGS)
    assert {name for name, v in judged.items() if v.same_setting} == own
    assert judged["dnr-over-nr"].differs == ("a tenth of the learning rate",)
    assert "the first draw alone" in judged["knowledge"].differs
    assert "200 images of it" in judged["weaker-attack"].differs


def test_around_the_sources_own_network_nothing_differs() -> None:
    rows = [row | {"taken": row.get("net") == "base"} for row in rows_of(World())]
    results = Results(pl.DataFrame(rows, infer_schema_length=None))
    result = {v.id.rpartition(".")[2]: v for v in judge(results, ASKED, MNIST)}
    assert result["crossover"].same_setting
    assert result["knowledge"].differs == ("the first draw alone",)


def less(name: str, attack: str = "source", by: float = 0.5) -> World:
    """A world in which a subject is worse at eps 1 to 6 under an attack."""
    return World().changed({(name, attack, eps): left(name, attack, eps) - by for eps in EPS})


@pytest.mark.parametrize(
    ("world", "refuted"),
    [
        # not alike up to 3
        (World().changed({("none", "source", 2.0): 0.90}), {"crossover"}),
        (World().changed({("nr", "source", 3.0): 0.90}), {"crossover"}),
        # DNR behind NR at one eps beyond, ahead on the whole; in rejection ahead there as well
        (World().changed({("nr", "source", 4.0): 0.88}), {"crossover", "rejection"}),
        # behind the bare network alone, behind which the retrained one is then too
        (World().changed({("none", "source", 6.0): 0.70}), {"crossover", "retraining"}),
        (less("dnr"), {"crossover", "dnr-over-nr", "rejection", "retraining"}),
        # rejection: NR ahead at one eps; apart already below 3; and a lead above that in accuracy
        (
            World(rejected=lambda s, a, e: 0.9 if s == "nr" and e == 5 else rejected(s, a, e)),
            {"rejection"},
        ),
        (World(rejected=lambda s, a, e: rejected(s, a, e) + 0.06 * (s == "dnr")), {"rejection"}),
        (
            World(rejected=lambda s, a, e: rejected(s, a, e) * (2 if s == "dnr" and e > 3 else 1)),
            {"rejection"},
        ),
        # what retraining does: less at large eps, to one of the two; or far more everywhere
        (less("retrained", by=0.02), {"retraining"}),
        (less("dnr-retrained", by=0.02), {"retraining"}),
        (
            World().changed({("retrained", "source", eps): 0.75 for eps in (1.0, 2.0, 3.0)}),
            {"retraining"},
        ),
        (World(rungs=RUNGS | {("margin", "dnr"): 0.95}), {"weaker-attack"}),
        (World(rungs=RUNGS | {("margin", "nr"): 0.85}), {"weaker-attack"}),
        # an epoch of PGD training takes 70 s more than a plain one; 50 are compared
        (World(seconds=1200.0), {"cheaper"}),
        # clean accuracy not lost; or no gain
        (World().changed({("pgd", "none", 0.0): 0.992}), {"enough-data"}),
        (less("pgd"), {"enough-data"}),
        (less("nr", "limited"), {"knowledge"}),
        (less("dnr", "limited"), {"knowledge"}),
        (
            World(nets=NETS | {("source", "test"): ((0.0695, 0.985), (0.0695, 0.985))}),
            {"train-below-test"},
        ),
        (
            World(nets=NETS | {("source", "test"): ((0.0450, 0.975), (0.0450, 0.975))}),
            {"train-below-test"},
        ),
    ],
)
def test_each_finding_can_be_refuted(world: World, refuted: set[str]) -> None:
    judged = verdicts(world)
    assert {name for name in FINDINGS if judged[name].verdict == "refuted"} == refuted
    assert {name for name in FINDINGS if judged[name].verdict == "holds"} == FINDINGS - refuted


@pytest.mark.parametrize(
    ("split", "value", "differing"),
    [
        ("train", (0.08, 0.9824), {"base.train-loss"}),
        ("train", (0.0684, 0.95), {"base.train-accuracy"}),
        ("test", (0.06, 0.9895), {"base.test-loss"}),
        ("test", (0.0462, 0.96), {"base.test-accuracy"}),
    ],
)
def test_each_number_can_differ(
    split: str, value: tuple[float, float], differing: set[str]
) -> None:
    judged = verdicts(World(nets=NETS | {("source", split): (value, value, value)}))
    assert {name for name, v in judged.items() if v.verdict == "differs"} == differing


def test_numbers_are_those_of_the_trainings_as_stated_with_the_slower_one_beside() -> None:
    judged = verdicts()["base.test-loss"]
    assert judged.value == pytest.approx(0.046)
    assert judged.seeds == 3
    assert judged.interval is not None
    assert judged.interval[0] < 0.0462 < judged.interval[1]
    assert "0.0450, 0.0470, 0.0460; a tenth of the learning rate 0.0300" in judged.note
    one = verdicts(World(nets=NETS | {("source", "test"): ((0.0462, 0.9895),)}))
    assert "trainings" not in one["base.test-loss"].note
    assert one["base.test-loss"].interval is None  # a mean loss of one training has none here
    assert one["base.test-accuracy"].interval == pytest.approx((0.9873, 0.9913), abs=1e-3)


def test_a_network_that_learned_nothing_says_nothing_about_dropout() -> None:
    nets = NETS | {
        ("source", "train"): ((2.3026, 0.1121),),
        ("source", "test"): ((2.3020, 0.1135),),
    }
    judged = verdicts(World(nets=nets))
    assert judged["base.test-accuracy"].verdict == "differs"
    # the slower network is better in training than in test
    assert judged["train-below-test"].verdict == "undecided"  # another rate cannot refute
    assert not judged["train-below-test"].same_setting
    assert "a tenth of the learning rate" in judged["train-below-test"].note


def test_what_decides_is_told_with_what_the_strongest_attack_says() -> None:
    judged = verdicts()
    # beyond 3 DNR falls by 0.08 for each 1 of eps, NR by 0.12: the least lead is at 4
    assert judged["crossover"].value == pytest.approx(0.04)
    assert judged["crossover"].interval_kind == "Student t over 5 draws"
    assert "strongest: at most 0.0 points apart up to eps 3" in judged["crossover"].note
    # mean over six eps: 0.04 * (1 + 2 + 3) / 6; half as much again under the strongest
    assert judged["dnr-over-nr"].value == pytest.approx(0.04)
    assert "under strongest +6.0 points" in judged["dnr-over-nr"].note
    # beyond 3 on the first draw: (0.16 - 0.04) * 2 less 0.03 of clean accuracy
    assert judged["enough-data"].value == pytest.approx(0.21)
    assert judged["enough-data"].seeds == 1
    assert "-3.0 points on clean images" in judged["enough-data"].note
    # PGD-trained networks meet our attack, not the strongest: 0.24 * 1.25 less 0.03
    assert "(under our rejection attack +27.0 points)" in judged["enough-data"].note
    assert "(at eps 3 under our rejection attack +0.0 points)" in judged["retraining"].note
    # 1.25 - 0.5 of the mean over eps of 0.01 eps + 0.12 max(0, eps - 3)
    assert "(under our rejection attack +11.6 points), DNR" in judged["knowledge"].note
    assert judged["weaker-attack"].value == pytest.approx(0.5)
    # 50 s against 50 epochs, ten of which take 800 s less an eighth
    assert judged["cheaper"].value == pytest.approx(50 / 3500)
    assert "a fit costs 0.7 of them" in judged["cheaper"].note
    assert "0.07 of the 10 that PGD trains for here" in judged["cheaper"].note
    assert judged["cheaper"].interval is None


def test_a_finding_that_the_strongest_attack_turns_round_shows_it() -> None:
    turned = less("dnr", "strongest")
    judged = verdicts(turned)["dnr-over-nr"]
    assert judged.verdict == "holds"
    assert "under strongest -44.0 points; under strongest it does not hold" in judged.note


@pytest.mark.parametrize(
    ("name", "attack", "world"),
    [
        ("crossover", "strongest", less("dnr", "strongest")),
        ("enough-data", "our rejection attack", less("pgd", "rejection")),
        # images made on the bare network do worse than our attack
        (
            "knowledge",
            "our rejection attack",
            World().changed({("nr", "rejection", eps): 0.99 for eps in EPS}),
        ),
    ],
)
def test_where_our_attacks_say_otherwise(name: str, attack: str, world: World) -> None:
    judged = verdicts(world)[name]
    assert judged.verdict == "holds"
    assert judged.note.endswith(f"under {attack} it does not hold")
    assert "it holds" not in verdicts()[name].note
    assert "does not" not in verdicts()[name].note


def test_without_the_strongest_attack_ours_speaks() -> None:
    judged = verdicts(without=lambda row: row.get("attack") == "strongest")
    assert "under our rejection attack +5.0 points" in judged["dnr-over-nr"].note
    neither = verdicts(without=lambda row: row.get("attack") in ("strongest", "rejection"))
    assert "ours not run" in neither["dnr-over-nr"].note
    assert neither["dnr-over-nr"].verdict == "holds"


def test_the_first_draw_is_compared_with_the_first_draw() -> None:
    # draws differ: those that were given one draw only are not held against the mean of five
    world = World()
    judged = verdicts(world)["enough-data"]
    rows = rows_of(world)
    mine = [
        r["accuracy"]
        for r in rows
        if r.get("subject") == "pgd" and r["eps"] in BEYOND and r["attack"] == "source"
    ]
    bare = [
        r["accuracy"]
        for r in rows
        if r.get("subject") == "none"
        and r["eps"] in BEYOND
        and r["attack"] == "source"
        and r["repeat"] == 0
    ]
    assert judged.value == pytest.approx(sum(mine) / 3 - sum(bare) / 3)


@pytest.mark.parametrize(
    ("options", "data", "words"),
    [
        (ASKED, DataSummary("digits", "a", 30_000, 1000, (1, 28, 28), 10), "measured on digits"),
        (replace(ASKED, train_limit=5000), MNIST, "trained on 5,000 images, not 30,000"),
        (replace(ASKED, seeds=4), MNIST, "4 of 5 draws of images"),
        (replace(ASKED, limit=500), MNIST, "500 of 1,000 images per draw"),
        (replace(ASKED, epochs=10), MNIST, "epochs 10, not 50"),
        (replace(ASKED, grid={"theta": (0.5,)}), MNIST, "theta 0.5, not 0.9"),
    ],
)
def test_another_setting_refutes_nothing(options: Options, data: DataSummary, words: str) -> None:
    judged = verdicts(less("dnr"), options=options, data=data)["dnr-over-nr"]
    assert judged.verdict == "undecided"
    assert any(words in one for one in judged.differs)
    result = verdicts(options=options, data=data)["dnr-over-nr"]
    assert (result.verdict, result.same_setting) == ("holds", False)


def test_how_images_are_drawn_does_not_touch_the_networks() -> None:
    judged = verdicts(options=replace(ASKED, seeds=2, limit=50, grid={"theta": (0.5,)}))
    assert judged["base.test-accuracy"].verdict == "match"
    assert judged["base.test-accuracy"].same_setting
    fewer = verdicts(options=replace(ASKED, grid={"lr": (0.05,)}))
    assert fewer["base.test-accuracy"].verdict == "undecided"


@pytest.mark.parametrize(
    ("without", "names"),
    [
        (lambda row: row.get("attack") == "limited", {"knowledge"}),
        (lambda row: row["kind"] == "ladder", {"weaker-attack"}),
        (lambda row: row["kind"] == "fit", {"cheaper"}),
        (lambda row: row.get("subject") == "pgd", {"enough-data"}),
        (lambda row: row.get("subject") == "dnr-retrained", {"retraining"}),
        (
            lambda row: (row.get("eps") or 0) > 3,
            {"crossover", "rejection", "retraining", "enough-data"},
        ),
        (lambda row: row.get("attack") == "strongest", set()),
        # one draw is missing: what is left is no pair any more
        (
            lambda row: row.get("subject") == "nr" and row["repeat"] == 4,
            {"crossover", "rejection", "dnr-over-nr"},
        ),
    ],
)
def test_what_was_not_run_is_said(
    without: Callable[[dict[str, Any]], bool], names: set[str]
) -> None:
    judged = verdicts(without=without)
    assert {name for name, v in judged.items() if v.verdict == "not run"} == names


def test_nothing_at_all() -> None:
    judged = judge(Results(pl.DataFrame()), ASKED, MNIST)
    assert {v.verdict for v in judged} == {"not run"}
