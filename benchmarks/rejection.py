"""Neural rejection beside what a person would write: ratios, all sides in turn in one process.

(a) The SVM stage of one layer, Platt's sigmoids included, against plain scikit-learn on the same
    images: ten machines, each calibrated on five folds. Scikit-learn is timed on a few of its
    machines (they are alike), and its time is multiplied. Decision values are compared.
(b) Gradients a second through all of DNR in batches, against the source's chain rule in NumPy: one
    image at a time, float64, scikit-learn's own support vectors, vectorised over them; only the
    network's own gradient is torch's. Gradients are compared.
(c) The same without the convolutional layer, against gradients of the bare network.
(d) The SVM stage of DNR on many images, combiner out of fold: seconds, memory, support vectors;
    then gradients of it, and of the copy of it that an audit searches on, against the bare network.

    python benchmarks/rejection.py [--fit 4000] [--attacked 256] [--one-by-one 2] [--machines 1]
        [--whole 30000]

Uses MNIST where `$EPSBALL_DATA` or the cache has it, scikit-learn's digits otherwise. The network
is `base-cnn` after a short training; `--weights` takes one of your own.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from epsball.data import load_data, to_unit
from epsball.defences import DeepNeuralRejection, Features, RbfSvm
from epsball.errors import EpsballError
from epsball.evaluation.engine.surrogate import SurrogateModel, copy_for
from epsball.models import MODELS, load_weights

LAYERS = ("layer5", "layer7", "layer8")
GAMMA, C, FOLDS, CLASSES = 0.01, 0.1, 5, 10
Vector = NDArray[np.float64]


def images(count: int) -> tuple[Tensor, Tensor, str]:
    """Return training images of MNIST, or of the digits, and the name of the set."""
    for name in ("mnist", "digits"):
        try:
            dataset = load_data(name, split="train")
        except EpsballError:
            continue
        rows = np.arange(min(count, len(dataset)))
        return to_unit(dataset.read(rows)), torch.from_numpy(dataset.labels[rows]), name
    raise SystemExit("no images")


def network(images: Tensor, labels: Tensor, weights: Path | None) -> nn.Module:
    """Return the base classifier in eval mode, shortly trained where no weights are given."""
    torch.manual_seed(0)
    model = MODELS["base-cnn"].build()
    if weights is not None:
        load_weights(model, weights)
        return model.eval()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(3):
        for rows in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    optimizer.zero_grad()
    return model.eval()


def timed(run: Callable[[], Any], rounds: int = 1) -> tuple[float, Any]:
    """Return the fewest seconds of some rounds, and what the last one returned."""
    seconds, result = [], None
    for _ in range(rounds):
        started = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


class PlainMachine:
    """One against the rest as one writes it with scikit-learn: an SVC and Platt's sigmoid."""

    def __init__(self, features: NDArray[np.float32], positive: NDArray[np.bool_]) -> None:
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.svm import SVC

        machine = SVC(kernel="rbf", gamma=GAMMA, C=C)
        calibrated = CalibratedClassifierCV(machine, method="sigmoid", cv=FOLDS, ensemble=False)
        self.svc = calibrated.fit(features, positive).calibrated_classifiers_[0].estimator

    def decision(self, features: NDArray[np.float32]) -> Vector:
        """Return decision values (n,)."""
        return np.asarray(self.svc.decision_function(features))


def fitting(features: Tensor, new: Tensor, labels: Tensor, machines: int) -> list[list[str]]:
    """Compare (a): seconds to fit and to score."""
    ours, svm = timed(lambda: RbfSvm(gamma=GAMMA, c=C).fit(features, labels))
    rows, marks = features.numpy(), labels.numpy()
    theirs, result = timed(lambda: [PlainMachine(rows, marks == one) for one in range(machines)])
    theirs *= CLASSES / machines
    with torch.no_grad():
        quick, values = timed(lambda: svm.decision(new), rounds=3)
    slow, wanted = timed(lambda: [machine.decision(new.numpy()) for machine in result])
    slow *= CLASSES / machines
    apart = np.abs(values[:, :machines].numpy() - np.stack(wanted, 1)).max()
    size = f"{len(features)} x {features.shape[1]}"
    print(f"{svm.support_count_} support vectors; decision values differ by {apart:.1e} at most")
    return [
        [f"fit {size}, ten machines, Platt", _ms(ours), _ms(theirs), f"{theirs / ours:.1f} x"],
        [f"score {len(new)} images", _ms(quick), _ms(slow), f"{slow / quick:.1f} x"],
    ]


class PlainSvm:
    """The machines of an `RbfSvm` in NumPy: each with its own support vectors, for one image."""

    def __init__(self, svm: RbfSvm) -> None:
        stored = {name: value.double().numpy() for name, value in svm.state_dict().items()}
        self.gamma = svm.gamma_
        vectors = stored["support"] / stored["weight"] + stored["shift"]
        columns = stored["coefficients"].T
        self.vectors = [np.ascontiguousarray(vectors[one != 0]) for one in columns]
        self.coefficients = [one[one != 0] for one in columns]
        self.intercept, self.slope, self.offset = (
            stored[name] for name in ("intercept", "slope", "offset")
        )

    def log_odds(self, point: Vector) -> tuple[Vector, Vector]:
        """Return log-odds (k,) of one image's features (d,), and their gradients (k, d)."""
        values, gradients = [], []
        for vectors, coefficients in zip(self.vectors, self.coefficients, strict=True):
            away = point - vectors  # (m, d)
            weights = coefficients * np.exp(-self.gamma * (away * away).sum(1))
            values.append(weights.sum())
            gradients.append(-2 * self.gamma * (weights @ away))
        odds = -(self.slope * (np.array(values) + self.intercept) + self.offset)
        return odds, -self.slope[:, None] * np.array(gradients)


class PlainDnr:
    """The source's chain rule: combiner, layers' machines, network, one image at a time."""

    def __init__(self, rejector: DeepNeuralRejection) -> None:
        self.read = Features(rejector.model, rejector.layers_)
        self.svms = [PlainSvm(svm) for svm in rejector.svms_ if isinstance(svm, RbfSvm)]
        self.combiner = PlainSvm(rejector.combiner_)

    def gradient(self, image: Tensor, label: int) -> Tensor:
        """Return the gradient of one image's (1, c, h, w) log-odds of its class."""
        point = image.clone().requires_grad_()
        outputs = list(self.read(point).values())
        odds, slopes = zip(
            *(
                svm.log_odds(output.detach()[0].double().numpy())
                for svm, output in zip(self.svms, outputs, strict=True)
            ),
            strict=True,
        )
        shares = [1 / (1 + np.exp(-one)) for one in odds]
        towards = self.combiner.log_odds(np.concatenate(shares))[1][label]  # (layers * k,)
        parts = np.split(towards, len(outputs))
        pulls = [
            (part * share * (1 - share)) @ slope
            for part, share, slope in zip(parts, shares, slopes, strict=True)
        ]
        grads = [torch.from_numpy(pull).to(image)[None] for pull in pulls]
        return torch.autograd.grad(outputs, point, grads)[0]


def gradients(model: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of every image's score of its class, in one batch."""
    point = images.clone().requires_grad_()
    value = model(point).gather(1, labels[:, None]).sum()
    return torch.autograd.grad(value, point)[0]


def in_batches(
    model: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, size: int
) -> Tensor:
    """Return the same in batches of a size."""
    cuts = torch.arange(len(images)).split(size)
    return torch.cat([gradients(model, images[rows], labels[rows]) for rows in cuts])


def attacking(
    rejector: DeepNeuralRejection, images: Tensor, labels: Tensor, few: int, size: int
) -> list[list[str]]:
    """Compare (b): gradients a second."""
    plain = PlainDnr(rejector)
    ours, all_of_them = timed(lambda: in_batches(rejector, images, labels, size), rounds=2)
    theirs, some = timed(
        lambda: torch.cat(
            [plain.gradient(images[row, None], int(labels[row])) for row in range(few)]
        )
    )
    apart = float((all_of_them[:few] - some).abs().max() / some.abs().max())
    print(f"gradients of {few} images differ by {apart:.1e} of the largest")
    each, one = ours / len(images), theirs / few
    return [["DNR gradient, an image", _ms(each), _ms(one), f"{one / each:.0f} x"]]


def beside_the_network(
    rejector: DeepNeuralRejection, model: nn.Module, images: Tensor, labels: Tensor, size: int
) -> list[list[str]]:
    """Compare (c): gradients of DNR without the convolutional layer, and of the network."""
    ours, bare = in_turn([rejector, model], images, labels, size)
    return [_beside(f"{' + '.join(rejector.layers_)}: gradient, an image", ours, bare)]


def in_turn(
    models: Sequence[Callable[[Tensor], Tensor]], images: Tensor, labels: Tensor, size: int
) -> list[float]:
    """Return the seconds that a gradient of an image takes each model: the best of three turns."""
    turns = [
        [timed(lambda m=m: in_batches(m, images, labels, size))[0] for m in models]
        for _ in range(3)
    ]
    return [min(column) / len(images) for column in zip(*turns, strict=True)]


def _beside(what: str, ours: float, bare: float) -> list[str]:
    what = f"{what} (other side: bare network)"
    return [what, _ms(ours), _ms(bare), f"{ours / bare:.2f} x the cost"]


def whole(
    model: nn.Module, images: Tensor, labels: Tensor, some: tuple[Tensor, Tensor], size: int
) -> list[list[str]]:
    """Measure (d): DNR on many images."""
    before = memory()
    seconds, rejector = timed(
        lambda: DeepNeuralRejection(model, layers=LAYERS, combiner="out-of-fold").fit(
            images, labels
        )
    )
    counts = [svm.support_count_ for svm in (*rejector.svms_, rejector.combiner_)]
    print(
        f"DNR on {len(images):,} images: fitted in {_ms(seconds)}, support vectors {counts}; at "
        f"most {memory():.1f} GB of memory, {before:.1f} before"
    )
    copied = copy_for("cpu")
    twin = SurrogateModel(rejector, copied)
    prepared, _made = timed(lambda: twin(images[:4]))
    ours, cheaper, bare = in_turn([rejector, twin, model], *some, size)
    print(f"the searching copy ({copied}) is made in {_ms(prepared)}")
    label = f"DNR of {len(images):,}"
    return [
        [f"{label}: SVM stage", _ms(seconds), "", ""],
        _beside(f"{label}: gradient, an image", ours, bare),
        _beside(f"{label}: the same, searching copy", cheaper, bare),
    ]


def memory() -> float:
    """Return the most memory this process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def show(rows: list[list[str]]) -> None:
    """Print a small table."""
    rows = [["what", "ours", "other side", "ratio"], *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))


def _ms(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{1000 * seconds:,.2f} ms"


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fit", type=int, default=4000, help="images the SVMs are fitted on")
    parser.add_argument("--scored", type=int, default=1000, help="images scored in (a)")
    parser.add_argument("--machines", type=int, default=1, help="of scikit-learn's ten in (a)")
    parser.add_argument("--attacked", type=int, default=256, help="images attacked in batches")
    parser.add_argument("--batch", type=int, default=64, help="images a batch in (b) and (c)")
    parser.add_argument("--one-by-one", type=int, default=2, help="images the NumPy side gets")
    parser.add_argument("--weights", type=Path, default=None, help="of base-cnn")
    parser.add_argument("--whole", type=int, default=0, help="images DNR is fitted on in (d)")
    options = parser.parse_args()
    images, labels, name = dataset(options.fit)
    model = network(images, labels, options.weights)
    layers = Features(model, LAYERS[:1])
    features = layers.collect(images.split(256))[LAYERS[0]]
    print(f"base-cnn on {name}, {len(images)} images, {torch.get_num_threads()} threads")
    table = fitting(features, features[: options.scored], labels, options.machines)
    some, marks = images[: options.attacked], labels[: options.attacked]
    for chosen in (LAYERS, LAYERS[1:]):
        seconds, rejector = timed(
            lambda chosen=chosen: DeepNeuralRejection(model, layers=chosen).fit(images, labels)
        )
        counts = [svm.support_count_ for svm in (*rejector.svms_, rejector.combiner_)]
        print(f"DNR on {' + '.join(chosen)}: fitted in {_ms(seconds)}, support vectors {counts}")
        if chosen == LAYERS:
            table += attacking(rejector, some, marks, options.one_by_one, options.batch)
        else:
            table += beside_the_network(rejector, model, some, marks, options.batch)
    if options.whole:
        table += whole(model, *dataset(options.whole)[:2], (some, marks), options.batch)
    show(table)


if __name__ == "__main__":
    main()
