"""What is tried on two images before anything is written: do labels fit, does every attack run?"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from epsball.errors import BrokenContract, EpsballError, InvalidInput
from epsball.evaluation.engine.asking import is_out_of_memory
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.engine.recorder import Recorder
from epsball.evaluation.settings import AttackSetting
from epsball.evaluation.subject import Subject
from epsball.randomness import ImageStreams
from epsball.types import Dataset, Positions

_FEW = 2
_SECONDS = 10.0
# how much of these a rehearsal asks for
_REHEARSED = {"steps": 1, "queries": 10, "classes": 1}


def check_fit(subject: Subject, data: Dataset, positions: Positions) -> None:
    """Refuse labels that the model has no class for."""
    labels = data.labels[positions]
    classes = subject.info.classes
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        where, label = int(positions[wrong[0]]), int(labels[wrong[0]])
        if int(labels.min()) < 0:
            remedy = "leave out the images that have no class"
        elif int(labels.min()) > 0:
            remedy = (
                "where labels count from 1, add --label-offset -1, else give matching labels or "
                "another model"
            )
        else:
            remedy = "give labels of the model's classes or another model"
        raise InvalidInput(
            f"{data.name}: label {label} of image {where} is out of range: {subject.name} has "
            f"{classes} classes, 0 to {classes - 1}; {remedy}"
        )


def rehearse(
    subject: Subject,
    settings: Sequence[AttackSetting],
    sample: Examples,
    passes: Counter[str],
    seconds: float = _SECONDS,
) -> None:
    """Run every attack for one step on two images, so that a bad setting stops the run here.

    Args:
        subject: the model.
        settings: the attacks.
        sample: clean images.
        passes: adds up what is spent.
        seconds: for each attack, at most.

    Raises:
        InvalidInput: the attack refuses its settings, or needs a gradient that is not there.
        BrokenContract: the model raises.
    """
    images = sample.images[:_FEW].to(subject.device, copy=True)
    labels = sample.labels[:_FEW].to(subject.device)
    for setting in settings:
        if setting.spec.needs_gradient and not subject.info.differentiable:
            raise InvalidInput(
                f"{setting.attack} needs a gradient, and {subject.name} gives none with respect to "
                "its input: remove torch.no_grad(), .detach() or numpy from its forward, or use "
                "--attack square or hopskipjump, which ask for scores or labels only"
            )
        given = setting.arguments(setting.eps[-1])
        given |= {key: min(few, given[key]) for key, few in _REHEARSED.items() if key in given}
        streams = ImageStreams.of(range(len(labels)), seed=0, purpose="rehearsal")
        streams = replace(streams, keys=streams.keys.to(subject.device))
        recorder = Recorder(
            subject.model,
            subject.info,
            len(images),
            subject.device,
            deadline=time.monotonic() + seconds,
        )
        try:
            setting.spec.attack(
                recorder,
                images,
                labels,
                generator=streams,
                **given,
            )
        except OutOfTime:  # an ensemble: it has begun, and that is what was to be seen
            pass
        except EpsballError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise BrokenContract(
                f"{subject.name} failed under {setting.variant} with {type(error).__name__}: "
                f"{reason}"
            ) from error
        passes.update(
            forwards=int(recorder.forwards.sum()), backwards=int(recorder.backwards.sum())
        )
