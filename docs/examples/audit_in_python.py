"""Train a small model, audit it, and look at what was found."""

import numpy as np
import torch
from torch import nn

from epsball import attacks, audit, load_data
from epsball.data import to_unit

train = load_data("digits", split="train")
images = to_unit(train.read(np.arange(len(train))))
labels = torch.from_numpy(train.labels)

torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for _ in range(60):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()
model.eval()

report = audit(model, "digits", eps=[0.05, 0.1], limit=100)
print(report.headline)
for finding in report.findings:
    print(finding.severity, finding.code, finding.message)
print(report.records.select("index", "variant", "eps", "safe", "backwards").head())

# a single attack is a function
adversarial = attacks.pgd(model, images[:8], labels[:8], eps=8 / 255)
print((adversarial - images[:8]).abs().max())
