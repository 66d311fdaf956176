"""From the text of a request to attack settings: "pgd:steps=100,objective=margin", "8/255"."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, field_serializer, field_validator

from epsball.attacks import ATTACKS, AttackSpec
from epsball.errors import InvalidInput, UnsupportedNorm, unknown_name
from epsball.named_settings import read_settings, split_named
from epsball.objectives import named_objective
from epsball.radii import parse_eps
from epsball.types import NORMS, Norm, Passes

_FORWARDS = 3  # a gradient costs about as much as so many forward passes


class AttackSetting(BaseModel):
    """One attack as it will be run, at all its eps; a run's manifest holds it as it is.

    Args:
        attack: its name in the table.
        variant: its name with the settings that were changed; unique within a run.
        norm: geometry of the ball; "none" for an attack that knows no ball.
        eps: the radii, rising; infinite where there is no ball.
        knobs: every setting of its own, defaults filled in.
        restarts: how often it runs.
        target: the class that it is to reach: its number, "next", "least-likely" or "file"; None:
            any class but the label. Until the model is known it is what was typed.
        listed: of "file", a class for every image of the data set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attack: str
    variant: str
    norm: Norm | Literal["none"]
    eps: tuple[float, ...]
    knobs: dict[str, Any] = {}
    restarts: int = 1
    target: str | None = None
    listed: tuple[int, ...] = ()

    @field_validator("eps", mode="before")
    @classmethod
    def _read_eps(cls, eps: Any) -> Any:  # noqa: ANN401 - anything that a file may hold
        """Read back an attack without a ball."""
        return eps or (math.inf,)

    @field_serializer("eps")
    def _write_eps(self, eps: tuple[float, ...]) -> list[float]:
        """Write finite radii only: JSON has no infinity."""
        return [radius for radius in eps if math.isfinite(radius)]

    def changed(self, **update: Any) -> Self:  # noqa: ANN401 - fields of this class
        """Return a copy in which some fields differ."""
        return self.model_copy(update=update)

    @property
    def spec(self) -> AttackSpec:
        """Return the table's entry."""
        return ATTACKS[self.attack]

    def arguments(self, eps: float | None = None) -> dict[str, Any]:
        """Return what the attack is called with, beside model, images, labels and generator."""
        arguments = dict(self.knobs)
        if isinstance(arguments.get("objective"), str):
            arguments["objective"] = named_objective(arguments["objective"])
        if self.spec.takes_norm:
            arguments["norm"] = self.norm
        if self.spec.takes_eps and eps is not None:
            arguments["eps"] = eps
        return arguments

    @property
    def sweeps(self) -> bool:
        """Say whether one call of the attack serves every eps."""
        return self.spec.sweep is not None and self.restarts == 1

    @property
    def stem(self) -> str:
        """Return the variant as part of a file name."""
        return "".join(c if c.isalnum() or c in "-_.=" else "_" for c in self.variant)

    def passes(self, *, rejects: bool = False) -> Passes:
        """Return what an image that nothing fools costs at one eps, about, over all restarts."""
        given = self.knobs | {"norm": self.norm, "rejects": rejects}
        return self.spec.passes(given).times(self.restarts)

    @property
    def calls(self) -> int:
        """Return how many calls of the attack serve all eps."""
        return 1 if not self.spec.takes_eps or self.sweeps else len(self.eps)

    @property
    def gradients(self) -> int:
        """Return how many gradients an image that nothing fools costs, over all eps, about."""
        return int(self.passes().cost * self.calls / _FORWARDS)

    @property
    def is_plain(self) -> bool:
        """Say whether it ascends the true class' loss by steepest steps: only such are ranked."""
        usual = {"direction": "ascent", "reference": "true", "gradient": None, "clip": True}
        return all(self.knobs.get(key) in (None, value) for key, value in usual.items())

    @property
    def means_harm(self) -> bool:
        """Say whether its steps lead away from the truth; a control's need not."""
        if self.target is not None:
            return False
        direction, reference = self.knobs.get("direction"), self.knobs.get("reference")
        own = reference in (None, "true", "predicted")
        return own if direction in (None, "ascent") else not own


def make_settings(
    attacks: Sequence[str],
    *,
    norm: str,
    eps: Sequence[float | str],
    steps: int | None = None,
    restarts: int = 1,
    queries: int | None = None,
    target: str | None = None,
) -> tuple[AttackSetting, ...]:
    """Turn a request into settings; any part that breaks a rule refuses all of it.

    Args:
        attacks: names with optional settings, "pgd" or "pgd:steps=100,objective=margin".
        norm: one norm for all.
        eps: radii for all.
        steps: for those attacks that take steps and do not name their own.
        restarts: for those attacks that are random.
        queries: calls of the model for an image, at most, for attacks that count them.
        target: the class to reach, for attacks that take one and do not name their own.

    Returns:
        One setting an attack.

    Raises:
        InvalidInput: an unknown or repeated name, a setting that the attack does not have.
        UnsupportedNorm: an attack is not defined for norm.

    Example:
        >>> make_settings(["pgd:steps=5"], norm="linf", eps=["8/255"])[0].variant
        'pgd:steps=5'
    """
    if norm not in NORMS:
        raise unknown_name("norm", norm, NORMS)
    if not attacks or not eps:
        raise InvalidInput("an audit needs at least one attack and one eps, got none")
    if restarts < 1:
        raise InvalidInput(f"restarts must be >= 1, got {restarts}")
    if steps is not None and steps < 1:
        raise InvalidInput(f"steps must be >= 1, got {steps}")
    if queries is not None and queries < 1:
        raise InvalidInput(f"queries must be >= 1, got {queries}")
    radii = tuple(sorted({parse_eps(e) for e in eps}))
    common = {"steps": steps, "queries": queries, "target": target}
    settings = tuple(
        _setting(text, norm, radii, common | {"target": target}, restarts) for text in attacks
    )
    if target is not None and not any(setting.target for setting in settings):
        raise InvalidInput(f"target {target!r}: none of these attacks can be told a class to reach")
    names = [setting.variant for setting in settings]
    if len(set(names)) < len(names):
        raise InvalidInput(f"each attack can be asked for once, got {', '.join(names)}")
    return settings


def _setting(
    text: str,
    norm: Norm,
    radii: tuple[float, ...],
    common: Mapping[str, int | str | None],
    restarts: int,
) -> AttackSetting:
    name, texts = split_named(text)
    if name not in ATTACKS:
        raise unknown_name("attack", name, ATTACKS)
    spec = ATTACKS[name]
    if spec.takes_norm and norm not in spec.norms:
        raise UnsupportedNorm(f"{name}: norm must be one of {', '.join(spec.norms)}; got {norm!r}")
    own = texts.pop("target", None) if "target" not in spec.knobs else None
    if own and not spec.takes_targets:
        raise InvalidInput(f"{name}: no class can be told to it, got target={own!r}: leave it out")
    aim = (own or common["target"]) if spec.takes_targets else None
    defaults = {key: _kind(spec, key, value) for key, value in spec.knobs.items()}
    changed = read_settings(name, texts, defaults)
    knobs = dict(spec.knobs)
    knobs |= {key: n for key, n in common.items() if n is not None and key in knobs}
    knobs = {key: _plain(value) for key, value in (knobs | changed).items()}
    shown = changed | ({} if aim is None else {"target": aim})
    variant = name + (":" if shown else "") + ",".join(f"{k}={v}" for k, v in shown.items())
    times = restarts if spec.random else 1
    fields: dict[str, Any] = {
        "attack": name,
        "variant": variant,
        "knobs": knobs,
        "restarts": times,
        "target": aim,
    }
    if not spec.takes_norm:
        return AttackSetting(**fields, norm="none", eps=(math.inf,))
    return AttackSetting(**fields, norm=norm, eps=radii)


def _kind(spec: AttackSpec, key: str, default: Any) -> Any:  # noqa: ANN401 - any knob
    """Return a value of the kind that a setting takes, read off its annotation where it is None."""
    if default is not None and not callable(default):
        return default
    parameter = inspect.signature(spec.attack).parameters.get(key)
    kinds = () if parameter is None else get_args(parameter.annotation)
    if float in kinds:
        return math.nan
    return 0 if int in kinds else ""


def _plain(value: Any) -> Any:  # noqa: ANN401 - any knob
    """Name a function, so that settings are data: cross_entropy -> "cross-entropy"."""
    return value.__name__.replace("_", "-") if callable(value) else value
