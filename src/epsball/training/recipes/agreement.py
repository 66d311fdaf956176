"""Settings that must suit each other, whatever the recipe. Imports no torch."""

from epsball.errors import InvalidInput
from epsball.training.setup.settings import TrainSettings


def watch_interval(settings: TrainSettings) -> int:
    """Return after how many epochs each the watch looks; 0: never.

    Example:
        >>> watch_interval(TrainSettings(recipe="fast", eps=0.1)), watch_interval(TrainSettings())
        (1, 0)
    """
    if settings.watch_every is not None:
        return settings.watch_every
    return 0 if settings.eps is None and settings.watch_eps is None else 1


def check_agreement(settings: TrainSettings) -> None:
    """Refuse settings that others make idle.

    Args:
        settings: what was asked for.

    Raises:
        InvalidInput: milestones without the schedule that has some; a watch without a radius; what
            the watch decides without a watch.
    """
    changed = {name for name in ("milestones", "factor") if _is_changed(settings, name)}
    if changed and settings.schedule != "step":
        raise InvalidInput(
            f"train: {' and '.join(sorted(changed))} need schedule 'step', got "
            f"{settings.schedule!r}; give schedule='step', or leave them out"
        )
    if settings.watch_every and settings.eps is None and settings.watch_eps is None:
        raise InvalidInput(
            "train: watch_every needs a radius, and this recipe has no eps; give watch_eps"
        )
    needing = {"best_by": settings.best_by == "pgd", "stop_at_collapse": settings.stop_at_collapse}
    for name, needed in needing.items():
        if needed and watch_interval(settings) != 1:
            raise InvalidInput(
                f"train: {name} needs a watch after every epoch, got "
                f"watch_every={watch_interval(settings)}; give watch_every=1, and watch_eps where "
                "the recipe has no eps"
            )


def _is_changed(settings: TrainSettings, name: str) -> bool:
    return bool(getattr(settings, name) != TrainSettings.model_fields[name].default)
