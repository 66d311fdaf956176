"""What OpenMP's wait policy costs: steps a second as torch comes, and with passive waiting.

    python benchmarks/waiting.py [--seconds 4] [--rounds 3] [--threads 2]

Processes that do small convolutions, alone and two at once, under either policy in turn; medians of
the rounds. Alone on an idle machine it shows what sleeping threads cost; two at once, with as many
threads as cores each, what spinning threads take from each other.
"""

import argparse
import os
import statistics
import subprocess
import sys

WORK = """
import sys, time, torch
torch.set_num_threads(int(sys.argv[2]))
model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(32, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
    torch.nn.Linear(64 * 16 * 16, 10),
)
images, steps = torch.rand(16, 3, 32, 32), 0
for _ in range(5):
    model(images).sum().backward()
started = time.perf_counter()
while time.perf_counter() - started < float(sys.argv[1]):
    model(images).sum().backward()
    steps += 1
print(steps / (time.perf_counter() - started))
"""


def steps_a_second(processes: int, policy: str, seconds: float, threads: int) -> float:
    """Return the mean steps a second of processes that run at once."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    if policy == "passive":
        environment["OMP_WAIT_POLICY"] = policy
    command = [sys.executable, "-c", WORK, str(seconds), str(threads)]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    return statistics.mean(float(process.communicate()[0]) for process in running)


def main() -> None:
    """Measure both policies in turn, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    for processes in (1, 2):
        rates: dict[str, list[float]] = {"as torch comes": [], "passive": []}
        for _ in range(options.rounds):
            for policy, values in rates.items():
                values.append(steps_a_second(processes, policy, options.seconds, options.threads))
        middle = {policy: statistics.median(values) for policy, values in rates.items()}
        print(
            f"{processes} at once, {options.threads} threads each: "
            + ", ".join(f"{policy} {rate:.1f} steps/s" for policy, rate in middle.items())
            + f"; passive over torch's {middle['passive'] / middle['as torch comes']:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
