"""Every rule of the contract, and the attacks it applies to."""

from epsball.attacks import AttackSpec
from epsball.testing.rules import general, nearest, rejecting
from epsball.testing.rules.rule import Rule
from epsball.types import Norm


def _takes_eps(spec: AttackSpec, _: Norm) -> bool:
    return spec.takes_eps


def _minimises(spec: AttackSpec, _: Norm) -> bool:
    """Say whether it returns the nearest adversarial image in a norm."""
    return spec.takes_norm and not spec.takes_eps


def _minimises_with_known_distance(spec: AttackSpec, norm: Norm) -> bool:
    return _minimises(spec, norm) and norm != "l0"


def _follows_gradients_within_eps(spec: AttackSpec, _: Norm) -> bool:
    return spec.takes_eps and spec.needs_gradient and not spec.averages


def _follows_gradients(spec: AttackSpec, _: Norm) -> bool:
    return spec.needs_gradient and spec.kind != "other" and not spec.averages


def _keeps_the_best_within_eps(spec: AttackSpec, _: Norm) -> bool:
    return spec.takes_eps and spec.keeps != "last"


def _keeps_success(spec: AttackSpec, _: Norm) -> bool:
    return spec.keeps != "last"


def _sweeps(spec: AttackSpec, _: Norm) -> bool:
    return spec.sweep is not None


def _has_a_query_budget(spec: AttackSpec, _: Norm) -> bool:
    return spec.kind == "query"


def _crosses_a_rejection_band(spec: AttackSpec, _: Norm) -> bool:
    return spec.takes_eps and (spec.needs_gradient or spec.composite) and not spec.averages


def _succeeds_within_a_radius(spec: AttackSpec, norm: Norm) -> bool:
    return _follows_gradients(spec, norm) and spec.keeps != "last" and norm != "l0"


RULES: tuple[Rule, ...] = (
    Rule(general.check_ball_and_box, any_model=True, any_settings=True),
    Rule(general.check_pure, any_model=True, any_settings=True),
    Rule(general.check_rows_alone, any_model=True, any_settings=True),
    Rule(general.check_eps_zero, _takes_eps, any_model=True, any_settings=True),
    Rule(general.check_bad_input, any_model=True, any_settings=True),
    Rule(general.check_linear_oracle, _follows_gradients_within_eps),
    Rule(general.check_targets, _follows_gradients),
    Rule(general.check_strongest_point, _keeps_the_best_within_eps, any_model=True),
    Rule(general.check_sweep, _sweeps, any_model=True, any_settings=True),
    Rule(general.check_gradient_needed, any_model=True, any_settings=True),
    Rule(nearest.check_nearest, _minimises, any_model=True),
    Rule(nearest.check_query_budget, _has_a_query_budget, any_model=True),
    Rule(rejecting.check_past_rejection, _crosses_a_rejection_band),
    Rule(rejecting.check_nearest_past_rejection, _minimises_with_known_distance),
    Rule(rejecting.check_never_worse_than_clean, _keeps_success, any_model=True, any_settings=True),
    Rule(
        rejecting.check_accepted_as_another_class,
        _succeeds_within_a_radius,
        any_model=True,
    ),
)
