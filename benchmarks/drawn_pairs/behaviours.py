"""What networks do beside giving logits, rightly or by mistake."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

RANDOM = ("random-forward", "few-draws", "accuracy-mismatch", "state-moved")
GRADIENT = ("flat-scores", "zero-gradient", "no-gradient", "foreign-gradient", "constant-gradient")
CHANCE = ("near-chance", "below-chance", "class-shares", "unknown-classes")


@dataclass(frozen=True)
class Behaviour:
    """What a network does to its logits or its input.

    Args:
        make: network (images to logits) to the module that does it.
        codes: findings that tell of it.
        coarse: how far scores may be from those of float64, as a share of the largest.
        size: of what is added to the scores in the type of the network, which rounds them to steps
            of that size.
    """

    make: Callable[[nn.Module], nn.Module]
    codes: tuple[str, ...] = ()
    coarse: float = 0.0
    size: float = 0.0


class Then(nn.Module):
    """A network and a function of its logits."""

    def __init__(self, net: nn.Module, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net, self.function, self.training = net, function, net.training

    def forward(self, inputs: Tensor) -> Any:  # noqa: ANN401 - some return no tensor
        """Return the function of the logits."""
        return self.function(self.net(inputs))


class First(nn.Module):
    """A network behind a function of its images."""

    def __init__(self, net: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.function, self.training = net, function, net.training

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of the function of the images."""
        return self.net(self.function(inputs))


class Counting(nn.Module):
    """A network that counts its calls in a buffer; with `drift` the count moves its scores."""

    def __init__(self, net: nn.Module, drift: float) -> None:
        super().__init__()
        self.net, self.drift, self.training = net, drift, net.training
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits, the first of them moved by the number of calls."""
        self.calls += 1
        logits = self.net(inputs)
        return logits + self.drift * self.calls * functional.one_hot(
            torch.tensor(0), logits.shape[1]
        ).to(logits)


class Detached(nn.Module):
    """A network whose gradient comes from a tenth of its input alone."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the images; the gradient passes for few of their columns."""
        kept = torch.zeros_like(inputs)
        kept[..., :2] = 1
        return inputs.detach() * (1 - kept) + inputs * kept


class WithoutGradient(nn.Module):
    """A network inside no_grad."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.training = net, net.training

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits that carry no gradient."""
        with torch.no_grad():
            return self.net(inputs)


def _through_numpy(logits: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(logits.detach().cpu().numpy()))


def _in_place(images: Tensor) -> Tensor:
    return images.mul_(2).div_(2)


def _train_mode(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).train()


def _inner_train_mode(net: nn.Module) -> nn.Module:
    changed = copy.deepcopy(net).eval()
    kinds = (nn.Dropout, nn.BatchNorm2d)
    for part in [m for m in changed.modules() if isinstance(m, kinds)][:1]:
        part.train()
    return changed


def _batch_statistics(net: nn.Module) -> nn.Module:
    changed = copy.deepcopy(net)
    for part in changed.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats, part.running_mean, part.running_var = False, None, None
    return changed


def _quantised(dtype: torch.dtype) -> Callable[[nn.Module], nn.Module]:
    def make(net: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.ao.quantization.quantize_dynamic(
                copy.deepcopy(net).float(), {nn.Linear}, dtype=dtype
            )

    return make


def _frozen(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).requires_grad_(requires_grad=False)


def _made_in_inference_mode(net: nn.Module) -> nn.Module:
    with torch.inference_mode():
        changed = copy.deepcopy(net)
        for name, value in list(changed.named_parameters()):
            owner = changed.get_submodule(name.rpartition(".")[0])
            setattr(owner, name.rpartition(".")[2], nn.Parameter(value.clone()))
    return changed


def _embedding(logits: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return logits @ torch.randn(logits.shape[1], 64, generator=generator).to(logits)


def _background(logits: Tensor) -> Tensor:
    return torch.cat([logits.amin(1, keepdim=True) - 1, logits], 1)


def _wide(logits: Tensor) -> Tensor:
    low = logits.amin(1, keepdim=True) - 1
    return torch.cat([logits, low.expand(-1, 40)], 1)


def _one_hot(logits: Tensor) -> Tensor:
    return functional.one_hot(logits.argmax(1), logits.shape[1]).to(logits)


def _noisy(images: Tensor) -> Tensor:
    return images + 0.2 * torch.randn_like(images)


def _then(function: Callable[[Tensor], Any], *codes: str) -> Behaviour:
    return Behaviour(lambda net: Then(net, function), codes)


def _first(function: Callable[[Tensor], Tensor], *codes: str) -> Behaviour:
    return Behaviour(lambda net: First(net, function), codes)


BEHAVIOURS: dict[str, Behaviour] = {
    "plain": Behaviour(lambda net: net),
    "softmax": _then(lambda s: s.softmax(1), "probabilities-not-logits"),
    "log-softmax": _then(lambda s: s.log_softmax(1), "log-probabilities"),
    "sigmoid": _then(lambda s: s.sigmoid(), "bounded-scores", *GRADIENT),
    "hot": _then(lambda s: s * 1e4, *GRADIENT),
    "cold": _then(lambda s: s * 1e-5, *GRADIENT),
    "offset": Behaviour(lambda net: Then(net, lambda s: s + 1000), (), 1e-6, 1000.0),
    "half scores": Behaviour(lambda net: Then(net, lambda s: s.half()), GRADIENT, 2e-3),
    "double scores": _then(lambda s: s.double()),
    "whole scores": _then(lambda s: s.round(), *GRADIENT),
    "tuple": _then(lambda s: (s, None)),
    "dictionary": _then(lambda s: {"logits": s}),
    "object": _then(lambda s: SimpleNamespace(logits=s)),
    "numpy array": _then(lambda s: s.detach().numpy()),
    "list of rows": _then(lambda s: list(s)),
    "maps": _then(lambda s: s[:, :, None, None]),
    "turned": _then(lambda s: s.T),
    "first column": _then(lambda s: s[:, 0]),
    "one column": _then(lambda s: s[:, :1]),
    "numbers of classes": _then(lambda s: s.argmax(1)),
    "one-hot": _then(_one_hot, *GRADIENT),
    "not finite": _then(lambda s: s / (s - s.amax(1, keepdim=True)), "non-finite-scores"),
    "losses": _then(lambda s: -s, *CHANCE),
    "embedding": _then(_embedding, *CHANCE, "class-order"),
    "background column": _then(_background, *CHANCE, "class-order"),
    "more columns": _then(_wide),
    "through numpy": _then(_through_numpy),
    "in place": _first(_in_place),
    "bytes": _first(lambda x: (x * 255).round() / 255, *GRADIENT, *CHANCE),
    # behind a scaling of one's own both meet scaled images
    "clamped": _first(lambda x: x.clamp(0, 1), "other-scaling", *CHANCE),
    "noise": _first(_noisy, *RANDOM),
    "detached": Behaviour(lambda net: nn.Sequential(Detached(), net).eval(), GRADIENT),
    "no_grad": Behaviour(WithoutGradient),
    "counts": Behaviour(lambda net: Counting(net, 0.0), RANDOM),
    "drifts": Behaviour(lambda net: Counting(net, 0.05), RANDOM),
    "train mode": Behaviour(_train_mode, ("train-mode",)),
    "a part in train mode": Behaviour(_inner_train_mode, ("train-mode",)),
    "dropout always": _then(lambda s: functional.dropout(s, 0.3, training=True), *RANDOM),
    "batch statistics": Behaviour(_batch_statistics, ("batch-dependent", *RANDOM, "train-mode")),
    "scores minus those of the batch": _then(lambda s: s - s.mean(0), "batch-dependent"),
    "frozen parameters": Behaviour(_frozen),
    "inference mode": Behaviour(_made_in_inference_mode),
    "int8 dynamic": Behaviour(_quantised(torch.qint8), (*GRADIENT, "batch-dependent"), 0.1),
    "float16 dynamic": Behaviour(_quantised(torch.float16), GRADIENT, 5e-3),
    "on the meta device": Behaviour(lambda net: copy.deepcopy(net).to("meta")),
}
