import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tests.models.fakes import Code, Refusal, plain_pickle, torch_file
from torch import nn
from torch.optim import swa_utils

from epsball.models import load_weights


def net(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, classes))


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 7},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {"model_state_dict": {f"module.{k}": v for k, v in state.items()}},
        lambda state: {f"module._orig_mod.{k}": v for k, v in state.items()},
        lambda state: {f"model.{k}": v for k, v in state.items()},
    ],
    ids=["bare", "state_dict", "model", "data-parallel", "compiled", "pipeline"],
)
def test_usual_wrappings_are_taken_off(
    wrap: Callable[[dict[str, torch.Tensor]], object], tmp_path: Path
) -> None:
    first, second = net(), net()
    (tmp_path / "w.pt").write_bytes(torch_file(wrap(first.state_dict())))
    assert not same(first, second)
    load_weights(second, tmp_path / "w.pt")
    assert same(first, second)


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "DataParallel": nn.DataParallel,
    "compile": lambda model: torch.compile(model, backend="eager"),
    "Lightning": lambda model: nn.ModuleDict({"model": model}),
    "pipeline": lambda model: nn.ModuleDict({"network": model}),
    "averaged": swa_utils.AveragedModel,
}


@settings(max_examples=25, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=4, unique=True))
def test_any_nesting_of_wrappers_is_taken_off(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    first, second = net(), net()
    outer: Any = first
    for name in names:
        outer = WRAPPERS[name](outer)
    file = tmp_path_factory.mktemp("weights") / "w.pt"
    torch.save(outer.state_dict(), file)
    load_weights(second, file)
    assert same(first, second)


def test_wrapper_of_a_part_is_taken_off(tmp_path: Path) -> None:
    first, second = net(), net()
    compiled: Any = torch.compile(first[1], backend="eager")
    first[1] = nn.DataParallel(compiled)
    torch.save(first.state_dict(), tmp_path / "w.pt")
    first[1] = compiled._orig_mod
    load_weights(second, tmp_path / "w.pt")
    assert same(first, second)


def test_a_prefix_that_the_model_has_stays(tmp_path: Path) -> None:
    first = nn.ModuleDict({"model": nn.Linear(2, 2)})
    second = nn.ModuleDict({"model": nn.Linear(2, 2)})
    save_file(first.state_dict(), tmp_path / "w.safetensors")
    load_weights(second, tmp_path / "w.safetensors")
    assert same(first, second)


def test_counters_that_old_files_lack_are_not_missed(tmp_path: Path) -> None:
    state = {k: v for k, v in net().state_dict().items() if "num_batches" not in k}
    save_file(state, tmp_path / "w.safetensors")
    load_weights(net(), tmp_path / "w.safetensors")


@pytest.mark.parametrize("dump", [torch_file, plain_pickle], ids=["torch", "pickle"])
@pytest.mark.parametrize("where", ["alone", "among weights"])
def test_pickle_with_code_is_refused_and_does_not_run(
    dump: Callable[[object], bytes], where: str, marker: Path, tmp_path: Path, refusal: Refusal
) -> None:
    code = Code(marker)
    value = code if where == "alone" else {"state_dict": net().state_dict(), "extra": code}
    (tmp_path / "w.pt").write_bytes(dump(value))
    message = refusal(lambda: load_weights(net(), tmp_path / "w.pt"))
    assert "could run code" in message
    assert "save_file" in message


def test_whole_pickled_module_is_refused_with_a_remedy_that_works(
    tmp_path: Path, refusal: Refusal
) -> None:
    first, second = nn.Linear(2, 3), nn.Linear(2, 3)
    (tmp_path / "w.pth").write_bytes(torch_file(first))
    message = refusal(lambda: load_weights(second, tmp_path / "w.pth"))
    assert "they name torch.nn.modules.linear.Linear" in message
    snippet = message.partition('python -c "')[2].rpartition('"')[0]
    subprocess.run([sys.executable, "-c", snippet], check=True)  # what the message tells to run
    load_weights(second, tmp_path / "w.safetensors")
    assert same(first, second)


def test_misfits_are_named_and_change_nothing(tmp_path: Path, refusal: Refusal) -> None:
    state = net(4).state_dict()
    state["surplus"] = state.pop("1.weight")
    save_file(state, tmp_path / "w.safetensors")
    model, twin = net(3), net(3)
    twin.load_state_dict(model.state_dict())
    message = refusal(lambda: load_weights(model, tmp_path / "w.safetensors"))
    assert "1 missing: 1.weight" in message
    assert "1 unexpected: surplus" in message
    assert "2 of another shape: 3.weight (file 4x5, model 3x5), 3.bias (file 4, model 3)" in message
    assert same(model, twin)


def test_many_misfits_are_cut_short(tmp_path: Path, refusal: Refusal) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "w.safetensors")
    assert "and 5 more" in refusal(lambda: load_weights(net(), tmp_path / "w.safetensors"))


def test_missing_file_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    assert "no such file" in refusal(lambda: load_weights(net(), tmp_path / "none.pt"))


@pytest.mark.parametrize("keep", [0, 20, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_damaged_file_is_refused(
    suffix: str, keep: float, tmp_path: Path, refusal: Refusal
) -> None:
    whole, file = tmp_path / f"whole{suffix}", tmp_path / f"w{suffix}"
    if suffix == ".pt":
        torch.save(net().state_dict(), whole)
    else:
        save_file(net().state_dict(), whole)
    content = whole.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if keep < 1 else int(keep)])
    assert "damaged" in refusal(lambda: load_weights(net(), file))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_file_of_another_kind_is_refused(suffix: str, tmp_path: Path, refusal: Refusal) -> None:
    file = tmp_path / f"w{suffix}"
    file.write_text("not weights at all\n" * 20)
    assert "damaged" in refusal(lambda: load_weights(net(), file))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.zeros(3), "hold a Tensor"),
        ({}, "hold a dict"),
        ({"a": torch.zeros(1), "lr": 0.1}, "no tensors (lr)"),
    ],
)
def test_what_is_no_state_dict_is_refused(
    value: object, found: str, tmp_path: Path, refusal: Refusal
) -> None:
    (tmp_path / "w.pt").write_bytes(torch_file(value))
    assert found in refusal(lambda: load_weights(net(), tmp_path / "w.pt"))


def test_torchscript_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "w.pt")
    message = refusal(lambda: load_weights(nn.Linear(2, 2), tmp_path / "w.pt"))
    assert "they hold more than tensors" in message


def test_two_sets_of_weights_are_not_chosen_between(tmp_path: Path, refusal: Refusal) -> None:
    """An average beside the weights, as timm keeps it."""
    net, average = nn.Linear(3, 2), nn.Linear(3, 2)
    file, chosen = tmp_path / "w.pt", tmp_path / "average.pt"
    both = {f"module.{name}": value for name, value in average.state_dict().items()}
    torch.save({"state_dict": net.state_dict(), "state_dict_ema": both, "epoch": 3}, file)
    message = refusal(lambda: load_weights(nn.Linear(3, 2), file))
    command = re.search(r"torch\.save\(.*\)", message)
    assert command is not None
    exec(command[0].replace("FILE", repr(str(chosen))))  # the remedy, to the letter
    loaded = nn.Linear(3, 2)
    load_weights(loaded, chosen)
    assert torch.equal(loaded.weight, average.weight)
    torch.save({"state_dict": net.state_dict(), "best": net.state_dict()}, file)
    load_weights(loaded, file)
    assert torch.equal(loaded.weight, net.weight)
