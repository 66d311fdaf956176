#!/usr/bin/env bash
# foolbox 3.3.4: the distances of L2FMNAttack are the length of its first step.
#
# Expected: fast minimum norm (FMN) in L2 finds the nearest adversarial image. For a linear classifier
# that is known exactly: images at distance 0.1, 0.2, 0.3 and 0.4 from the boundary. DDNAttack, with
# as many steps, returns these distances to 0.001; LInfFMNAttack is right in its norm as well.
# Seen: L2FMNAttack returns 1.0 for all four, after 10 steps as after 1000, and calls each a success.
# With max_stepsize=0.5 it returns 0.5. The code that projects onto the current ball scales by
# norms / norms in place of epsilon / norms, that is by 1, so that a distance never becomes smaller.
# Consequence: median distances and accuracy over eps that are computed with this attack say more
# about its step size than about the model, and show it as more robust than it is.
# Exit code 0 while this holds, 1 when it changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet foolbox==3.3.4 eagerpy==0.30.0 GitPython==3.2.1 \
  torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import foolbox
import torch

normal = torch.tensor([1.0, -1.0]).repeat(32) / 8
layer = torch.nn.Linear(64, 2)
with torch.no_grad():
    layer.weight.copy_(torch.stack([normal, -normal]))
    layer.bias.zero_()
classifier = torch.nn.Sequential(torch.nn.Flatten(), layer).eval()
distances = torch.tensor([0.1, 0.2, 0.3, 0.4])
grey = torch.full((64,), 0.5)
images = (grey + distances[:, None] * normal).view(4, 1, 8, 8)
labels = torch.zeros(4, dtype=torch.int64)
model = foolbox.PyTorchModel(classifier, bounds=(0, 1))


def measured(attack):
    _, adversarial, success = attack(model, images, labels, epsilons=None)
    assert success.all()
    return (adversarial - images).flatten(1).norm(dim=1)


attacks = foolbox.attacks
ddn = measured(attacks.DDNAttack(steps=1000))
fmn = {steps: measured(attacks.L2FMNAttack(steps=steps)) for steps in (10, 1000)}
half = measured(attacks.L2FMNAttack(steps=1000, max_stepsize=0.5))
print("true distances:", [round(d, 4) for d in distances.tolist()])
print("DDN, 1000 steps:", [round(d, 4) for d in ddn.tolist()])
for steps, found in fmn.items():
    print(f"L2 FMN, {steps} steps:", [round(d, 4) for d in found.tolist()])
print("L2 FMN, 1000 steps, max_stepsize=0.5:", [round(d, 4) for d in half.tolist()])
holds = (
    torch.allclose(ddn, distances, atol=1e-3)
    and all(torch.allclose(found, torch.ones(4), atol=1e-3) for found in fmn.values())
    and torch.allclose(half, torch.full((4,), 0.5), atol=1e-3)
)
sys.exit(not holds)
PYTHON
