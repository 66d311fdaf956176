"""Networks by every way in: what of them is read, how far from onnxruntime, and how robust.

Each network is trained on MNIST for some hundred steps and exported by both exporters of torch, in
several opsets, for a batch of one, of four, and of any size. The table has the largest difference
of the converted module from onnxruntime on 64 test images, as a share of the largest score, and
clean and robust accuracy of an audit (pgd, 10 steps, eps 0.1, 200 images) through the file. Below
it, the same audit of the module itself, of its TorchScript trace and of its torch.export program.

    python -m benchmarks.onnx_ways_in --out DIR [--page FILE]

Finished lines are kept in DIR/lines.jsonl; a run that was stopped goes on where it stopped.
"""

import argparse
import json
import platform
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from benchmarks.drawn_pairs.networks import ARCHITECTURES, mobile, trained
from benchmarks.drawn_pairs.tasks import Task, load_tasks
from torch import Tensor, nn

from epsball import audit
from epsball.errors import EpsballError
from epsball.models import load_model

NETWORKS = ("perceptron", "cnn", "resnet", "mobile", "vit")
EXPORTERS = {"TorchScript": (11, 13, 17), "torch.export": (13, 17, 18, 20, None)}
BATCHES: tuple[int | None, ...] = (1, 4, None)  # None: any
COMPARED, AUDITED, EPS = 64, 200, 0.1


def export(net: nn.Module, file: Path, exporter: str, opset: int | None, batch: int | None) -> None:
    """Write an ONNX file."""
    example = torch.rand(batch or 2, 1, 28, 28)
    named: dict[str, Any] = {"input_names": ["image"], "output_names": ["scores"]}
    if exporter == "TorchScript":
        axes = {"image": {0: "n"}, "scores": {0: "n"}} if batch is None else None
        torch.onnx.export(
            net, (example,), file, dynamo=False, opset_version=opset, dynamic_axes=axes, **named
        )
        return
    shapes = ({0: torch.export.Dim("n")},) if batch is None else None
    torch.onnx.export(
        net, (example,), file, dynamo=True, opset_version=opset, dynamic_shapes=shapes, **named
    )


def by_onnxruntime(file: Path, images: Tensor, batch: int | None) -> Tensor:
    """Return the file's own scores, asked in batches of its size."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = images.split(batch or len(images))
    return torch.cat([torch.from_numpy(session.run(None, {name: p.numpy()})[0]) for p in parts])


def audited(model: Any, task: Task) -> dict[str, Any]:  # noqa: ANN401 - a spec or a module
    """Return clean and robust accuracy, or the refusal."""
    data = (task.test[:AUDITED], task.test_labels[:AUDITED])
    report = audit(model, data, attacks=["pgd:steps=10"], eps=[EPS], precision="float32")
    if report.blocked:
        return {"refusal": " ".join(finding.code for finding in report.findings)}
    robust = report.summary["worst_case"][0]["robust_accuracy"]
    return {"clean": report.summary["clean"]["accuracy"], "robust": robust}


def through_file(
    net: nn.Module,
    task: Task,
    folder: Path,
    *,
    exporter: str,
    opset: int | None,
    batch: int | None,
) -> dict[str, Any]:
    """Export, convert, compare and audit one file."""
    file = folder / "net.onnx"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            export(net, file, exporter, opset, batch)
    except Exception as error:  # the exporter has errors of many kinds
        return {"unexported": f"{type(error).__name__}: {error}".splitlines()[0][:120]}
    images = torch.from_numpy(task.test[:COMPARED] / np.float32(255))
    theirs = by_onnxruntime(file, images, batch)
    try:
        model = load_model(f"onnx:{file}").model
        with torch.no_grad():
            ours = model(images)
        apart = float((ours - theirs).abs().max() / theirs.abs().max())
        return {"apart": apart, **audited(f"onnx:{file}", task)}
    except EpsballError as error:
        return {"refusal": str(error)[:200]}


def other_ways(net: nn.Module, folder: Path) -> dict[str, Callable[[], Any]]:
    """Return the other ways in, by name, each a function that makes the model."""
    example = torch.rand(2, 1, 28, 28)
    shapes = ({0: torch.export.Dim.DYNAMIC},)

    def program() -> str:
        torch.export.save(
            torch.export.export(net, (example,), dynamic_shapes=shapes), folder / "net.pt2"
        )
        return f"pt2:{folder / 'net.pt2'}"

    def trace() -> str:
        torch.jit.save(torch.jit.trace(net, example, check_trace=False), folder / "net.jit")
        return f"jit:{folder / 'net.jit'}"

    return {"module": lambda: net, "jit: file": trace, "pt2: file": program}


def lines(out: Path, task: Task, done: set[str]) -> Iterator[dict[str, Any]]:
    """Yield what is not finished yet."""
    ARCHITECTURES["mobile"] = mobile
    for name in NETWORKS:
        net = trained(task, name, out / "networks")
        for way, make in other_ways(net, out).items():
            key = f"{name} {way}"
            if key not in done:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model = make()
                yield {"key": key, "network": name, "way": way, **audited(model, task)}
        for exporter, opsets in EXPORTERS.items():
            for opset in opsets:
                for batch in BATCHES:
                    key = f"{name} {exporter} {opset} {batch}"
                    if key in done:
                        continue
                    named: dict[str, Any] = {"exporter": exporter, "opset": opset, "batch": batch}
                    result = through_file(net, task, out, **named)
                    yield {"key": key, "network": name, "way": "onnx: file", **named, **result}


def page(rows: list[dict[str, Any]]) -> str:
    """Return the tables."""
    files = [row for row in rows if row["way"] == "onnx: file" and "unexported" not in row]
    read = [row for row in files if "clean" in row]
    unexported = [row for row in rows if "unexported" in row]
    worst = max(row["apart"] for row in read)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnx", "onnxruntime"))
    text = [
        "# Networks by every way in\n",
        f"{len(read)} of {len(files)} ONNX files are read; the largest difference from onnxruntime "
        f"is {worst:.1e} of the largest score. {len(unexported)} combinations are refused by the "
        "exporter itself.\n",
        "Made by `python -m benchmarks.onnx_ways_in --out DIR --page docs/results/onnx.md` with "
        f"{versions}, onnx2fx {version('onnx2fx')}, Python {platform.python_version()}. Each "
        f"network is trained on MNIST for 400 steps; audits are pgd (10 steps) at eps {EPS} on "
        f"{AUDITED} test images. TorchScript is torch's older exporter, torch.export its default "
        "one; opset None is the exporter's own choice, batch None any size.\n",
        _table(
            ("network", "way in", "clean", "robust"),
            [
                (row["network"], row["way"], row.get("clean"), row.get("robust"))
                for row in rows
                if row["way"] != "onnx: file"
            ],
        ),
        "\n## ONNX files\n",
        _table(
            ("network", "exporter", "opset", "batch", "difference", "clean", "robust"),
            [
                (
                    *(row[key] for key in ("network", "exporter", "opset", "batch")),
                    f"{row['apart']:.1e}" if "apart" in row else row.get("refusal", ""),
                    row.get("clean", ""),
                    row.get("robust", ""),
                )
                for row in files
            ],
        ),
    ]
    if unexported:
        reasons = sorted(
            {f"{r['exporter']}, opset {r['opset']}: {r['unexported']}" for r in unexported}
        )
        text += ["\n## Refused by the exporter\n", *(f"- {reason}" for reason in reasons)]
    return "\n".join(text) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    every = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in every)


def main() -> None:
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "lines.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    with file.open("a") as stream:
        for row in lines(options.out, load_tasks()["digits"], {row["key"] for row in rows}):
            rows.append(row)
            stream.write(json.dumps(row) + "\n")
            stream.flush()
    print(page(rows))
    if options.page is not None:
        options.page.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
