"""What freed memory costs that goes back to the system: passes with and without `machine/memory`.

    python -m benchmarks.allocation [--rounds 3]

Fresh processes of one thread in turn; medians of the rounds, processor milliseconds a pass: forward
and backward as an attack does them, and one training step. Other work on the machine disturbs it.
"""

import argparse
import os
import statistics
import subprocess
import sys

WORK = """
import resource, sys, time
if sys.argv[1] == "reused":
    from epsball.machine.memory import reuse_freed_memory
    assert reuse_freed_memory()
import torch
from epsball.models import load_model
from epsball.models.zoo.vgg_cifar import build_vgg_cifar
torch.set_num_threads(1)

def attack(model, images):
    def step():
        inputs = images.clone().requires_grad_()
        torch.autograd.grad(model(inputs).sum(), inputs)
    return step

def training(model, images):
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            model(images).float().logsumexp(1).sum().backward()
        optimizer.step()
    return step

def milliseconds(step, repeats):
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        step()
        seconds.append(time.process_time() - started)
    return 1e3 * min(seconds)

squeezenet = load_model("zoo:squeezenet").model
vgg = build_vgg_cifar().to(memory_format=torch.channels_last)
small = torch.rand(128, 3, 32, 32).to(memory_format=torch.channels_last)
print(
    milliseconds(attack(vgg.eval(), small), 8),
    milliseconds(attack(squeezenet, torch.rand(32, 3, 224, 224)), 3),
    milliseconds(training(vgg, small), 8),
    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
)
"""
COLUMNS = (
    "vgg-cifar, 128 images, forward and backward (ms)",
    "squeezenet, 32 images, forward and backward (ms)",
    "vgg-cifar, 128 images, training step in bfloat16 (ms)",
    "memory at the peak (MB)",
)


def measure(mode: str) -> list[float]:
    """Return one value a column, from a fresh process."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC", "GLIBC"))}
    command = [sys.executable, "-c", WORK, mode]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [float(value) for value in done.stdout.split()]


def main() -> None:
    """Measure both ways in turn, and print a line a column."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    rows: dict[str, list[list[float]]] = {"as torch comes": [], "reused": []}
    for _ in range(rounds):
        for mode, values in rows.items():
            values.append(measure(mode))
    for column, name in enumerate(COLUMNS):
        before, after = (statistics.median(row[column] for row in v) for v in rows.values())
        print(
            f"{name}: {before:.0f} as torch comes, {after:.0f} reused, {before / after:.2f} times"
        )


if __name__ == "__main__":
    main()
