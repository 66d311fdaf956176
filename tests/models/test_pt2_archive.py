import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.fakes import Code, Refusal, Small, export, plain_pickle, torch_file
from torch import Tensor, nn

from epsball.errors import BrokenContract
from epsball.models import load_model, probe

Json = Any
Rewrite = Callable[[dict[str, object]], Path]
PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_saved_program_gives_the_scores_of_its_model(
    n: int, archive: tuple[nn.Module, Path]
) -> None:
    model, file = archive
    loaded = load_model(f"pt2:{file}")
    inputs = torch.rand(n, 1, 8, 8)
    assert torch.allclose(loaded.model(inputs), model(inputs), atol=1e-6)
    assert loaded.name == "small"


def test_a_saved_program_has_a_gradient_and_stays_in_eval_mode(
    archive: tuple[nn.Module, Path],
) -> None:
    model = load_model(f"pt2:{archive[1]}").model
    assert probe(model, torch.rand(2, 1, 8, 8)).differentiable
    assert isinstance(model, nn.Module)
    assert not any(part.training for part in model.eval().modules())
    with pytest.raises(BrokenContract, match="cannot be trained"):
        model.train()


def test_preprocessing_goes_before_a_saved_program(archive: tuple[nn.Module, Path]) -> None:
    model, file = archive
    loaded = load_model(f"pt2:{file}", mean=(0.5,), resize=8)
    inputs = torch.rand(2, 1, 8, 8)
    assert torch.allclose(loaded.model(inputs), model(inputs - 0.5), atol=1e-6)


# What follows makes torch.export.load itself run the code (torch 2.13; sizes are evaluated, names
# become source, guards are source, the rest is unpickled).


def test_pickled_weights_are_refused(rewritten: Rewrite, marker: Path, refusal: Refusal) -> None:
    def pickled(config: Json) -> None:
        config["config"]["output.bias"].update(use_pickle=True, path_name="weight_0")

    file = rewritten({WEIGHTS: pickled, "data/weights/weight_0": torch_file(Code(marker))})
    message = refusal(lambda: load_model(f"pt2:{file}"))
    assert "could run code (output.bias is a pickle)" in message
    assert "--weights" in message


@pytest.mark.parametrize("path", ["opaque_obj_0", "custom_obj_0", "../weights/weight_0"])
def test_objects_among_the_constants_are_refused(
    path: str, rewritten: Rewrite, marker: Path, refusal: Refusal
) -> None:
    def add(config: Json) -> None:
        config["config"]["extra"] = {**config["config"]["shift"], "path_name": path}

    file = rewritten({CONSTANTS: add, f"data/constants/{path}": plain_pickle(Code(marker))})
    assert "could run code" in refusal(lambda: load_model(f"pt2:{file}"))


@pytest.mark.parametrize("kind", ["weights", "constants"])
def test_pickles_of_older_torch_are_refused(
    kind: str, archive: tuple[nn.Module, Path], tmp_path: Path, marker: Path, refusal: Refusal
) -> None:
    file = tmp_path / "old.pt2"
    with zipfile.ZipFile(archive[1]) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            if f"model_{kind}_config" not in name:
                new.writestr(name, old.read(name))
        new.writestr(f"small/data/{kind}/model.pt", torch_file({"a": Code(marker)}))
    assert f"data/{kind}/ holds pickled" in refusal(lambda: load_model(f"pt2:{file}"))


def test_sample_inputs_are_never_unpickled(
    archive: tuple[nn.Module, Path], rewritten: Rewrite, marker: Path
) -> None:
    file = rewritten({"data/sample_inputs/model.pt": torch_file(Code(marker))})
    inputs = torch.rand(2, 1, 8, 8)
    assert torch.allclose(load_model(f"pt2:{file}").model(inputs), archive[0](inputs), atol=1e-6)


def test_guards_are_not_run(rewritten: Rewrite, marker: Path) -> None:
    code = f"__import__('os').mkdir({str(marker)!r}) is None"
    file = rewritten({PROGRAM: lambda program: program["guards_code"].append(code)})
    load_model(f"pt2:{file}").model(torch.rand(2, 1, 8, 8))


def sizes(code: str, program: Json) -> None:
    for tensor in program["graph_module"]["graph"]["tensor_values"].values():
        for size in tensor["sizes"]:
            if "as_expr" in size:
                size["as_expr"]["expr_str"] = code


def placeholder(code: str, program: Json) -> None:
    text = json.dumps(program).replace('"inputs"}', json.dumps(f"inputs={code}") + "}")
    program.update(json.loads(text))


def operator(target: str, program: Json) -> None:
    program["graph_module"]["graph"]["nodes"][0]["target"] = target


def tree(node: str, program: Json) -> None:
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    signature["out_spec"] = json.dumps([1, {"children_spec": [], **json.loads(node)}])


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (sizes, "__import__('os').mkdir('MARKER')"),
        (sizes, "Symbol('s77').__class__"),
        (sizes, "Symbol(name=[1 for _ in ()])"),
        (sizes, "(("),
        (sizes, "exit(0)"),
        (sizes, "Symbol('f')('x')"),
        (placeholder, "__import__('os').mkdir('MARKER')"),
        (operator, "torch.os.mkdir"),
        (operator, "torch.ops.aten.__class__.mro"),
        (operator, "torch.ops.aten.save.default"),
        (operator, "torch.ops.aten.from_file.default"),
        (operator, "torch.ops.higher_order.cond"),
        (operator, "_operator.methodcaller"),
        (tree, '{"type": "collections.deque", "context": "null"}'),
        (tree, '{"type": "builtins.dict", "context": "{\\"__enum__\\": 1}"}'),
    ],
)
def test_code_in_the_program_is_refused(
    place: Callable[[str, Json], None],
    text: str,
    rewritten: Rewrite,
    marker: Path,
    refusal: Refusal,
) -> None:
    code = text.replace("MARKER", str(marker))
    file = rewritten({PROGRAM: lambda program: place(code, program)})
    assert "could run code" in refusal(lambda: load_model(f"pt2:{file}"))


def test_fixed_batch_size_is_refused_with_the_remedy(tmp_path: Path, refusal: Refusal) -> None:
    file = export(Small().eval(), tmp_path / "fixed.pt2", dynamic=False)
    message = refusal(lambda: load_model(f"pt2:{file}"))
    assert "batches of exactly 2" in message
    assert "dynamic_shapes" in message


def test_program_of_train_mode_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    file = export(Small().train(), tmp_path / "train.pt2")
    assert "model.eval() first" in refusal(lambda: load_model(f"pt2:{file}"))


def test_program_of_two_inputs_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    class Two(nn.Module):
        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            return first + second

    file = tmp_path / "two.pt2"
    pair = (torch.rand(2, 3), torch.rand(2, 3))
    torch.export.save(torch.export.export(Two(), pair), file)
    assert "takes 2 inputs" in refusal(lambda: load_model(f"pt2:{file}"))


def test_missing_file_and_needless_weights_are_refused(
    archive: tuple[nn.Module, Path], tmp_path: Path, refusal: Refusal
) -> None:
    assert "no such file" in refusal(lambda: load_model(f"pt2:{tmp_path}/none.pt2"))
    spec = f"pt2:{archive[1]}"
    assert "leave --weights out" in refusal(lambda: load_model(spec, weights=tmp_path / "w.pt"))


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.95])
def test_damaged_archive_is_refused(
    keep: float, archive: tuple[nn.Module, Path], tmp_path: Path, refusal: Refusal
) -> None:
    content = archive[1].read_bytes()
    (tmp_path / "cut.pt2").write_bytes(content[: int(keep * len(content))])
    assert "damaged" in refusal(lambda: load_model(f"pt2:{tmp_path}/cut.pt2"))


def test_other_archives_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "w.pt2").write_bytes(torch_file({"a": torch.zeros(1)}))
    assert "not an archive that torch.export.save" in refusal(
        lambda: load_model(f"pt2:{tmp_path}/w.pt2")
    )


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"graph_module": {"graph": 3}}'])
def test_broken_json_is_refused(content: bytes, rewritten: Rewrite, refusal: Refusal) -> None:
    file = rewritten({PROGRAM: content})
    assert "not laid out" in refusal(lambda: load_model(f"pt2:{file}"))


def test_program_of_another_version_is_refused(rewritten: Rewrite, refusal: Refusal) -> None:
    def age(program: Json) -> None:
        program["schema_version"]["major"] = 2

    message = refusal(lambda: load_model(f"pt2:{rewritten({PROGRAM: age})}"))
    assert f"cannot be loaded by torch {torch.__version__}" in message


def test_nothing_but_the_checked_parts_reaches_torch(archive: tuple[nn.Module, Path]) -> None:
    from epsball.models.loading.pt2_archive import cleaned

    packed = cleaned(archive[1])
    assert isinstance(packed, io.BytesIO)
    with zipfile.ZipFile(packed) as kept:
        assert kept.read("model/data/sample_inputs/model.pt") == b""
        assert b"stack_trace" not in kept.read(f"model/{PROGRAM}")
