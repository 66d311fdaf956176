"""Put a rejection defence around a model of one's own, and ask what it is worth."""

import tempfile

import numpy as np
import torch
from torch import nn

from epsball import audit, load_data
from epsball.defences import DeepNeuralRejection, load

data = load_data("digits", split="train")
images, labels = data.read(np.arange(len(data))), data.labels

torch.manual_seed(0)
model = nn.Sequential(
    nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
)
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for _ in range(60):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(torch.tensor(images) / 255), torch.tensor(labels)).backward()
    optimizer.step()
model.eval()

guarded = DeepNeuralRejection(model, gamma="scale", c=10.0, false_rejection=0.05)
guarded.fit(images, labels)  # the model itself is not changed
for name, subject in (("bare", model), ("guarded", guarded)):
    report = audit(subject, "digits", attacks=["pgd", "rejection"], norm="l2", eps=[1.0], limit=60)
    print(name, report.headline)

folder = guarded.save(tempfile.mkdtemp())  # safetensors and JSON
print(load(folder, model).threshold_)  # opened again around the same model, and no other
