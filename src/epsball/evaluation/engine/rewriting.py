"""A copy of a module that computes the same with fewer passes over memory. It gives no verdicts.

On a CPU most of the time of a small network in bfloat16 goes into what lies between its
convolutions: a batch norm that its convolution could have done, a ReLU of values that the pooling
after it throws away.
"""

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval

_ALIKE = 1e-3  # how far scores and gradients may differ, as a share of the largest


def rewritten(module: nn.Module, sample: Tensor) -> nn.Module:
    """Return a copy that computes the same function of its input, in eval mode, with less work.

    Args:
        module: in eval mode; left as it is.
        sample: (m, c, h, w), images on which copy and module must agree, gradients included: a
            trace sees neither a `no_grad` block nor a backward pass of one's own.

    Returns:
        A copy in which batch norms are folded into the convolutions before them, and ReLU comes
        after max-pooling instead of before it (the two commute), and `view`, which wants contiguous
        memory, is `reshape`. Where the module cannot be traced
        as one fixed sequence of operations, or what is traced says something else: a plain copy.
    """
    copied = copy.deepcopy(module)
    graph = _traced(copied)
    if graph is None:
        return copied
    _fold_batch_norms(graph)
    _pool_first(graph)
    _reshape_views(graph)
    graph.graph.lint()
    graph.recompile()
    return graph if _agree(module, graph, sample) else copied


def _agree(one: nn.Module, other: nn.Module, sample: Tensor) -> bool:
    """Say whether two modules give the same scores and the same gradients."""
    try:
        pairs = zip(_seen(one, sample), _seen(other, sample), strict=True)
        return all(bool((a - b).abs().max() <= _ALIKE * a.abs().max()) for a, b in pairs)
    except (RuntimeError, TypeError, ValueError):  # no gradient, say
        return False


def _seen(module: nn.Module, sample: Tensor) -> tuple[Tensor, Tensor]:
    point = sample.detach().clone().requires_grad_()
    with torch.enable_grad():
        scores: Tensor = module(point)
        value = (scores * torch.linspace(1, 2, scores.shape[1], device=scores.device)).sum()
    return scores.detach(), torch.autograd.grad(value, point)[0]


def _traced(module: nn.Module) -> fx.GraphModule | None:
    """Return the module as a graph, or None: it branches, or draws while it is traced."""
    if any(_is_watched(part) for part in module.modules()):
        return None
    try:
        first, second = fx.symbolic_trace(module), fx.symbolic_trace(module)
    except Exception:  # a user's forward may raise anything when it is shown no numbers
        return None
    fixed = any("_tensor_constant" in str(node.target) for node in first.graph.nodes)
    return None if fixed or first.code != second.code else first


def _is_watched(part: nn.Module) -> bool:
    """Say whether a module has hooks: a graph would lose them."""
    return bool(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks)


def _fold_batch_norms(graph: fx.GraphModule) -> None:
    parts = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        if not _is_call(parts, node, nn.BatchNorm2d) or parts[node.target].training:
            continue
        before = node.args[0]
        if not _is_call(parts, before, nn.Conv2d) or len(before.users) > 1:
            continue
        if _calls(graph, before.target) > 1 or parts[node.target].running_mean is None:
            continue
        parts[before.target] = fuse_conv_bn_eval(parts[before.target], parts[node.target])
        graph.set_submodule(before.target, parts[before.target])
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)


def _pool_first(graph: fx.GraphModule) -> None:
    parts = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        if not _is_call(parts, node, nn.ReLU) or len(node.users) != 1:
            continue
        pool = next(iter(node.users))
        if not _is_call(parts, pool, nn.MaxPool2d) or parts[pool.target].return_indices:
            continue
        source = node.args[0]
        pool.replace_input_with(node, source)
        pool.append(node)
        pool.replace_all_uses_with(node)
        node.replace_input_with(source, pool)


def _reshape_views(graph: fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        to_type = any(
            isinstance(part, torch.dtype) for part in node.args
        )  # another reading of bits
        if node.op == "call_method" and node.target == "view" and not to_type:
            node.target = "reshape"


def _is_call(parts: dict[str, nn.Module], node: object, kind: type[nn.Module]) -> bool:
    if not isinstance(node, fx.Node) or node.op != "call_module" or node.kwargs:
        return False
    return type(parts[str(node.target)]) is kind and len(node.args) == 1


def _calls(graph: fx.GraphModule, target: object) -> int:
    return sum(node.op == "call_module" and node.target == target for node in graph.graph.nodes)
