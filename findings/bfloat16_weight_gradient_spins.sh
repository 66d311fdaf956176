#!/usr/bin/env bash
# torch 2.13.0 (oneDNN), CPU with bfloat16 matrix units (AMX): threads that compute the weight gradient
# of a convolution wait for each other in a loop that never sleeps, whatever OMP_WAIT_POLICY says.
#
# Expected: with OMP_WAIT_POLICY=passive, waiting threads sleep; two processes of two threads each on
# the same two cores are then each about half as fast as one alone, in bfloat16 as in float32.
# Seen: in float32 that is so (149 steps a second alone, 89 each). In bfloat16 one process alone does
# 243 steps a second of one Conv2d(64, 64, 3) on 100 images of 10 x 10, and two at once do 11 each,
# a twentieth; in longer runs, 1.2 each.
# With one thread each nothing waits. perf shows 83 % of the time in two instructions of code that
# oneDNN generated: its own barrier between the threads that add up a gradient, not one of OpenMP.
# Consequence: on a CI runner, in a container with a quota or beside a second training, bfloat16
# training on the CPU can come to a near halt, and settings of OpenMP do not help; fewer threads do.
# Exit code 0 while this holds or the CPU has no such units, 1 when it changes.
set -euo pipefail
if ! grep -qs amx_bf16 /proc/cpuinfo || ! command -v taskset >/dev/null; then
  echo "not measured: this needs Linux, taskset and a CPU with AMX in bfloat16"
  exit 0
fi
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6
cat >"$folder/steps.py" <<'PYTHON'
import sys
import time

import torch

dtype, seconds = getattr(torch, sys.argv[1]), float(sys.argv[2])
torch.set_num_threads(2)
layer = torch.nn.Conv2d(64, 64, 3).to(dtype)
images = torch.rand(100, 64, 10, 10, dtype=dtype)


def step():
    layer(images).float().sum().backward()


for _ in range(3):
    step()
count, started = 0, time.perf_counter()
while time.perf_counter() - started < seconds:
    step()
    count += 1
print(count / (time.perf_counter() - started))
PYTHON
cat >"$folder/compare.py" <<'PYTHON'
import os
import subprocess
import sys

steps = sys.argv[1]
two = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))


def rates(dtype, processes):
    command = ["taskset", "-c", two, sys.executable, steps, dtype, "5"]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(processes)
    ]
    return [float(process.communicate()[0]) for process in running]


shares = {}
for dtype in ("float32", "bfloat16"):
    alone, together = rates(dtype, 1)[0], max(rates(dtype, 2))
    shares[dtype] = together / alone
    print(f"{dtype}: alone {alone:.1f} steps a second, two at once at most {together:.1f} each")
sys.exit(not (shares["bfloat16"] < 0.1 and shares["float32"] > 0.2))
PYTHON
"$folder/venv/bin/python" "$folder/compare.py" "$folder/steps.py"
