"""A finished run as the report sees it: what was asked, what came out, and what may be printed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from epsball.errors import InvalidInput
from epsball.evaluation.records.schema import read_manifest, read_summary
from epsball.report.drawing.numbers import brief, distance
from epsball.report.drawing.palette import series_colours


class Setting(NamedTuple):
    """One attack at one budget."""

    variant: str
    norm: str
    eps: float

    @property
    def words(self) -> str:
        """The setting as a reader would say it: "pgd at eps 0.1"."""
        return f"{self.variant} at eps {distance(self.eps)}"


@dataclass(frozen=True)
class Run:
    """A run directory, read once.

    Args:
        path: the directory.
        manifest: what was asked, of what, on what.
        summary: what came out.
        names: one name a class, all different; one more, "reject", where the model may reject.
    """

    path: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]
    names: tuple[str, ...]

    @property
    def short(self) -> list[str]:
        """Names that fit beside a bar, still all different."""
        return unique_names([brief(name, 22) for name in self.names])

    @property
    def classes(self) -> int:
        """Number of classes, without "reject"."""
        return len(self.names) - self.rejects

    @property
    def rejects(self) -> bool:
        """Whether the model may refuse to answer."""
        return bool(self.manifest.get("model", {}).get("rejects"))

    @property
    def model(self) -> str:
        """The model's name, for sentences."""
        return _word(self.manifest.get("model", {}), ("name", "spec"), "the model")

    @property
    def data(self) -> str:
        """The data set's name, for sentences."""
        return _word(self.manifest.get("data", {}), ("spec",), "the data")

    @property
    def results(self) -> list[dict[str, Any]]:
        """One entry an attack and eps, of the attacks that search a ball."""
        return [r for r in self.summary.get("results") or [] if r["norm"] != "none"]

    @property
    def beside(self) -> list[dict[str, Any]]:
        """One entry an attack that knows no ball: rotations, corruptions, patches."""
        return [r for r in self.summary.get("results") or [] if r["norm"] == "none"]

    @property
    def verdicts_only(self) -> bool:
        """Whether images were done with as soon as they were fooled."""
        return self.summary.get("full_budget") is False

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Doubts, the gravest first."""
        order = {"blocking": 0, "warning": 1, "info": 2}
        findings = self.summary.get("findings") or []
        return sorted(findings, key=lambda finding: order.get(finding["severity"], 3))

    @property
    def blocked(self) -> bool:
        """Whether a finding forbids to print any rate."""
        return any(finding["severity"] == "blocking" for finding in self.findings)

    @property
    def norms(self) -> list[str]:
        """The norms of the run, in the order in which they were asked for."""
        return unique(result["norm"] for result in self.results)

    def variants(self, norm: str | None = None) -> list[str]:
        """The attacks of the run (within one norm), in the order in which they were asked for."""
        chosen = (result for result in self.results if norm in (None, result["norm"]))
        return unique(result["variant"] for result in chosen)

    @property
    def controls(self) -> list[str]:
        """Those variants that are no attack: noise, which only shows that direction matters."""
        return unique(r["variant"] for r in self.results if str(r["attack"]).startswith("noise"))

    def colours(self) -> dict[str, str]:
        """The light colour of each attack: the same in every figure."""
        names = self.variants()
        return dict(zip(names, series_colours(names, controls=self.controls), strict=True))

    def row(self, setting: Setting) -> str:
        """A short name for a row of a figure; it says the norm only where there are several."""
        norm = f"{setting.norm} " if len(self.norms) > 1 else ""
        return f"{norm}{distance(setting.eps)} {setting.variant}"

    def result(self, setting: Setting) -> dict[str, Any]:
        """The entry of one setting; empty where the run has none."""
        return next((one for one in self.results if setting_of(one) == setting), {})


def load_run(path: Path) -> Run:
    """Read a finished run.

    Args:
        path: the run's directory.

    Returns:
        The run, with class names made unique and padded to the number of classes.

    Raises:
        InvalidInput: the directory holds no finished run, or its files lack what a run has.
    """
    manifest, summary = read_manifest(path), read_summary(path)
    for file, content, needed in (
        ("manifest.json", manifest, ("model", "data")),
        ("summary.json", summary, ("headline", "clean", "results", "findings")),
    ):
        lacking = [name for name in needed if name not in content]
        if lacking:
            raise InvalidInput(f"{path / file} lacks {lacking[0]!r}: run the audit again")
    model = manifest.get("model", {})
    given = [str(name) for name in manifest.get("data", {}).get("class_names") or []]
    classes = int(model.get("classes") or len(given))
    names = unique_names([*given[:classes], *map(str, range(len(given), classes))])
    summary = dict.fromkeys(("gate", "belief")) | summary  # which runs without them lack
    return Run(path, manifest, summary, (*names, *(["reject"] if model.get("rejects") else [])))


def unique(items: Iterable[str]) -> list[str]:
    """Drop repetitions, keep the order."""
    return list(dict.fromkeys(items))


def unique_names(names: Sequence[str]) -> list[str]:
    """Tell classes of the same name apart by their number; ImageNet has two cranes.

    Example:
        >>> unique_names(["crane", "dog", "crane"])
        ['crane (0)', 'dog', 'crane (2)']
    """
    times = Counter(names)
    return [f"{name} ({i})" if times[name] > 1 else name for i, name in enumerate(names)]


def setting_of(entry: dict[str, Any]) -> Setting:
    """The setting that an entry of the summary belongs to."""
    eps = float("inf") if entry["eps"] is None else float(entry["eps"])  # None: no ball
    return Setting(str(entry["variant"]), str(entry["norm"]), eps)


def strongest(run: Run, settings: Sequence[Setting]) -> list[Setting]:
    """Pick the attack that leaves the least accuracy, at all its eps.

    Args:
        run: the run that says how accurate the model stayed.
        settings: those to choose among, all of one norm; at least one.

    Returns:
        The settings of the chosen attack, eps rising.
    """

    def left(variant: str) -> float:
        kept = [run.result(s).get("robust_accuracy") for s in settings if s.variant == variant]
        known = [value for value in kept if value is not None]
        return sum(known) / len(known) if known else 1.0

    chosen = min(unique(setting.variant for setting in settings), key=left)
    return sorted(setting for setting in settings if setting.variant == chosen)


def telling(run: Run, settings: Sequence[Setting]) -> Setting:
    """Pick the setting that shows most: about half of what was right is still right."""

    def blandness(setting: Setting) -> float:
        result = run.result(setting)
        clean, robust = result.get("clean_accuracy"), result.get("robust_accuracy")
        return 1.0 if not clean or robust is None else abs(robust / clean - 0.5)

    return min(settings, key=blandness)


def _word(source: dict[str, Any], keys: Sequence[str], otherwise: str) -> str:
    return next((str(source[key]) for key in keys if source.get(key)), otherwise)
