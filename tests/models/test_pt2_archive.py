import sys
import zipfile
from pathlib import Path

import pytest
import torch
from tests.models.fakes import Refusal, Small, export
from torch import Tensor, nn

from epsball.cli import main
from epsball.errors import BrokenContract
from epsball.models import load_model, probe


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


def test_a_file_that_is_not_trusted_is_not_read(
    archive: tuple[nn.Module, Path], refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.export, "load", None)
    message = refusal(lambda: load_model(f"pt2:{archive[1]}", trust=False))
    assert "can run code" in message
    assert "--trust" in message


def test_the_command_line_asks_for_trust(
    archive: tuple[nn.Module, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ["epsball", "layers", f"pt2:{archive[1]}", "--shape", "1x8x8"]
    codes = []
    for more in ([], ["--trust"]):
        monkeypatch.setattr(sys, "argv", [*options, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        codes.append(ended.value.code)
    assert codes == [2, 0]
    assert "--trust" in capsys.readouterr().err


def test_an_archive_for_one_batch_size_is_asked_in_batches_of_that_size(tmp_path: Path) -> None:
    model = Small().eval()
    fixed = export(model, tmp_path / "fixed.pt2", dynamic=False)
    loaded = load_model(f"pt2:{fixed}").model
    for count in (1, 2, 5):
        inputs = torch.rand(count, 1, 8, 8, requires_grad=True)
        scores = loaded(inputs)
        assert torch.allclose(scores, model(inputs), atol=1e-6)
        (slope,) = torch.autograd.grad(scores.sum(), inputs)
        (own,) = torch.autograd.grad(model(inputs).sum(), inputs)
        assert torch.allclose(slope, own, atol=1e-6)


def test_train_mode_and_damage_are_refused(
    archive: tuple[nn.Module, Path], tmp_path: Path, refusal: Refusal
) -> None:
    training = export(Small().train(), tmp_path / "training.pt2")
    assert "call model.eval() first" in refusal(lambda: load_model(f"pt2:{training}"))
    half = tmp_path / "half.pt2"
    half.write_bytes(archive[1].read_bytes()[:1000])
    assert "cannot be loaded" in refusal(lambda: load_model(f"pt2:{half}"))
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as other:
        other.writestr("a", "b")
    assert "cannot be loaded" in refusal(lambda: load_model(f"pt2:{tmp_path}/other.pt2"))


def test_two_inputs_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    class Two(nn.Module):
        def forward(self, one: Tensor, other: Tensor) -> Tensor:
            return (one + other).flatten(1)

    shape = {0: torch.export.Dim("n")}
    example = torch.rand(2, 1, 2, 2)
    program = torch.export.export(Two().eval(), (example, example), dynamic_shapes=(shape, shape))
    torch.export.save(program, tmp_path / "two.pt2")
    assert "takes 2 inputs" in refusal(lambda: load_model(f"pt2:{tmp_path}/two.pt2"))
