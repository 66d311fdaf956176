"""The buffers of fitted machines, over the union of their support vectors."""

import numpy as np
import torch
from torch import Tensor

from epsball.defences.svm.fitting import Learned

# in the order in which `decision` takes them, then the sigmoids'
BUFFERS = (
    "shift",
    "weight",
    "support",
    "norms",
    "coefficients",
    "intercept",
    "slope",
    "offset",
)


def buffers_of(rows: Tensor, learned: Learned) -> dict[str, Tensor]:
    """Return the buffers of fitted machines, over the union of their support vectors."""
    coefficients = np.stack([one.coefficients for one in learned.machines], axis=1)
    union = torch.from_numpy(np.flatnonzero((coefficients != 0).any(1)))
    weight = learned.scaling.weight * learned.gamma**0.5
    support = (rows[union] - learned.scaling.shift).mul_(weight)
    slope, offset = torch.tensor(learned.sigmoids, dtype=torch.float64).T
    return {
        "shift": learned.scaling.shift,
        "weight": weight,
        "support": support,
        "norms": torch.stack([one.double().square().sum() for one in support]),
        "coefficients": torch.from_numpy(coefficients)[union],
        "intercept": torch.tensor([one.intercept for one in learned.machines]),
        "slope": slope,
        "offset": offset,
    }
