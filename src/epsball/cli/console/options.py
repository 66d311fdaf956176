"""Options that several commands share, and how their texts are read."""

import hashlib
import re
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from epsball.errors import InvalidInput

Model = Annotated[
    str,
    typer.Argument(
        help="zoo:NAME, FILE.py:factory, package.module:factory, timm:NAME, torchvision:NAME, "
        "hf:NAME, robustbench:NAME, onnx:FILE, pt2:FILE, jit:FILE, sklearn:FILE or defended:FOLDER",
        show_default=False,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        "-d",
        help="digits, mnist, cifar10, imagenet-sample, folder:PATH, folder:PATH@SIZE, npz:PATH, or "
        "one image file with --label",
        show_default=False,
    ),
]
MaybeData = Annotated[
    str | None, typer.Option("--data", "-d", help="What it is for; see epsball list data.")
]
Weights = Annotated[
    Path | None, typer.Option(help="Weights to load: safetensors, or a torch file of tensors.")
]
Classes = Annotated[
    Path | None,
    typer.Option(help="The model's classes in its order, one a line; data are matched by name."),
]
Target = Annotated[
    str | None,
    typer.Option(help="Class to reach: its name or number, next, least-likely, or a file of them."),
]
Label = Annotated[
    str | None, typer.Option(help="Class of a single image: its name, or its number from 0.")
]
LabelOffset = Annotated[
    int, typer.Option(help="Added to every label: 1 for a model whose first class is background.")
]
Defence = Annotated[
    str | None,
    typer.Option(help="What images go through first: jpeg:quality=75, bit-depth:bits=4 ..."),
]
Limit = Annotated[int | None, typer.Option(help="Use this many images; all where left out.")]
Seed = Annotated[int, typer.Option(help="Of everything random.", min=0)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Steps = Annotated[int | None, typer.Option(help="For attacks that take steps.")]
Restarts = Annotated[int, typer.Option(help="For attacks that are random.")]
NormName = Annotated[str, typer.Option(help="linf, l2, l1 or l0, where the attack has it.")]


class Executor(StrEnum):
    """Where cells or shards run."""

    local = "local"
    ray = "ray"


ExecutorName = Annotated[Executor, typer.Option(help="local, or ray: on a Ray cluster.")]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of the cluster: HOST:PORT, ray://HOST:PORT or auto. Left out: the cluster of this "
        "machine, or a new one of this machine alone."
    ),
]
StorageUrl = Annotated[
    str | None,
    typer.Option(help="Directory or fsspec URL that all nodes share; --out if left out."),
]


def refuse_cluster_options(**values: object) -> None:
    """Refuse options of a cluster where none is used.

    Raises:
        InvalidInput: one of them is given.
    """
    for name, value in values.items():
        if value:
            raise InvalidInput(
                f"--{name.replace('_', '-')} is for a cluster: add --executor ray, or leave it out"
            )


class Sample(StrEnum):
    """How images are chosen under --limit."""

    auto = "auto"
    first = "first"
    stratified = "stratified"


class Precision(StrEnum):
    """What attacks search in; verdicts are always float32."""

    auto = "auto"
    fast = "fast"
    float32 = "float32"


SampleName = Annotated[
    Sample, typer.Option(help="First images, or every class in proportion; auto: by the data.")
]


def command_line() -> str:
    """Return the command as it was typed, for "how to reproduce"."""
    return shlex.join(["epsball", *sys.argv[1:]])


def default_out(kind: str, *parts: object) -> Path:
    """Name a directory that the same command finds again.

    Args:
        kind: of run: "audit".
        parts: everything that was asked for, the model and the data first.
    """
    stamps = [_stamp(part) for part in parts]
    digest = hashlib.sha256(repr((parts, stamps)).encode()).hexdigest()[:8]
    words = (re.sub(r"[^A-Za-z0-9]+", "-", str(part)).strip("-")[-24:] for part in parts[:2])
    return Path("runs") / "-".join([kind, *words, digest])


def _stamp(part: object) -> object:
    """Say what a file or folder that is asked for holds: other weights or images, another run."""
    if isinstance(part, dict | list | tuple):
        return [_stamp(one) for one in (part.values() if isinstance(part, dict) else part)]
    text = str(part)
    head, _, tail = text.partition(":")
    place, _, _ = text.rpartition(":")
    bare, at, size = tail.rpartition("@")
    names = (text, place, tail, bare if at and size.isdecimal() else "", head)
    path = next((Path(name) for name in names if name and Path(name).exists()), None)
    if path is None or not path.is_dir():
        return None if path is None else (path.stat().st_mtime_ns, path.stat().st_size)
    listed = sorted(
        (str(file.relative_to(path)), file.stat().st_mtime_ns, file.stat().st_size)
        for file in path.rglob("*")
        if file.is_file()
    )
    return hashlib.sha256(repr(listed).encode()).hexdigest()


def share(text: str, option: str) -> float:
    """Read a share: 0.4, 2/5 or 40%; see `read_share`."""
    from epsball.evaluation.metrics.gate import read_share

    return read_share(text, option)
