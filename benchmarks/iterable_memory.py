"""Peak memory of an audit over an iterable of any length: it should not grow with the length.

    python benchmarks/iterable_memory.py [PAGE.md]

Each row is a process of its own that audits a small network with fgsm on images that a generator
draws one at a time, 28x28, grey; the peak is that of the whole process, in MiB. The base is a
process that audits 32 images.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

COUNTS = (32, 2_000, 20_000, 100_000)
TEXT = """# Memory of an audit over an iterable

`epsball.audit(model, iterable, attack="fgsm", eps=0.1)`: the peak of a process by the length of an
iterable that draws 28x28 grey images one at a time. As float32 the images of the last row would
take 299 MiB, and the records that are returned have one row an image.
Made by `python benchmarks/iterable_memory.py docs/results/iterable-memory.md`.
"""
HEADS = ("images", "peak (MiB)", "above 32 images (MiB)", "bytes an image", "seconds")


def run(count: int) -> None:
    """Audit count images, and print the peak in MiB and the seconds."""
    import torch

    from epsball import audit

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()

    def images() -> Iterator[tuple[torch.Tensor, int]]:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for _ in range(count):
                image = torch.rand(1, 28, 28, generator=generator)
                yield image, int(network(image[None]).argmax())

    started = time.perf_counter()
    report = audit(network, images(), attack="fgsm", eps=0.1)
    seconds = time.perf_counter() - started
    assert report.summary["results"][0]["n"] == count  # noqa: S101 - a benchmark of another run
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{peak:.1f} {seconds:.1f}")


def main() -> None:
    """Measure every length, and print or write the page."""
    lines = ["| " + " | ".join(HEADS) + " |", "| " + " | ".join("---:" for _ in HEADS) + " |"]
    base = 0.0
    for count in COUNTS:
        command = [sys.executable, __file__, "--count", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak, seconds = (float(word) for word in done.stdout.split())
        base = base or peak
        each = (peak - base) * 2**20 / count
        row = [f"{count:,}", f"{peak:.0f}", f"{peak - base:.0f}", f"{each:.0f}", f"{seconds:.0f}"]
        lines.append("| " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text("\n".join([TEXT, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    if "--count" in sys.argv:
        run(int(sys.argv[-1]))
    else:
        main()
