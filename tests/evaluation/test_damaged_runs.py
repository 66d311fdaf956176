"""Files of a run that cannot be read any more: the remedy in the message brings them back."""

from pathlib import Path

import pytest
import torch
from torch import nn

from epsball import Audit, audit
from epsball.errors import InvalidInput


def _run(out: Path) -> Audit:
    images = torch.rand(12, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    return audit(
        nn.Flatten().eval(), (images, torch.arange(12) % 9), attacks="fgsm", eps=0.1, out=out
    )


@pytest.mark.parametrize(
    ("name", "doomed"),
    [
        ("records/00000-fgsm.parquet", ()),
        ("records/00000-fgsm.json", ("records/00000-fgsm.parquet",)),
    ],
)
def test_damaged_records_are_named_and_computed_again(
    name: str, doomed: tuple[str, ...], tmp_path: Path
) -> None:
    before = _run(tmp_path / "run")
    file = tmp_path / "run" / name
    file.write_bytes(file.read_bytes()[:7])
    with pytest.raises(InvalidInput, match=f"{file} is damaged .*: delete it"):
        _run(tmp_path / "run")
    for one in (name, *doomed):
        (tmp_path / "run" / one).unlink()
    again = _run(tmp_path / "run")
    assert again.records.equals(before.records)
    assert again.headline == before.headline


def test_damaged_images_are_named(tmp_path: Path) -> None:
    _run(tmp_path / "run")
    file = tmp_path / "run" / "images" / "00000-fgsm.npz"
    file.write_bytes(file.read_bytes()[:7])
    with pytest.raises(InvalidInput, match=f"{file} is damaged .*: delete it"):
        _run(tmp_path / "run")
    file.unlink()
    assert _run(tmp_path / "run").headline
