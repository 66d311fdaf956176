"""Which class is taken for which, and how often a targeted attack gets where it is to lead."""

from epsball.report.audit.run import Run, setting_of, strongest
from epsball.report.drawing.numbers import count, distance, interval, percent
from epsball.report.drawing.table import Cell, Row, Table, bar, table

_PAIRS = 20


def reached_table(run: Run) -> Table | None:
    """Lay out how many images reach their target; None where no attack had one."""
    rows: list[Row] = [
        [
            result["variant"],
            distance(result["eps"]),
            count(result["aimed"]),
            bar(result["target_reached"]),
            interval(result["target_reached_ci"]),
        ]
        for result in [*run.results, *run.beside]
        if result.get("target_reached") is not None
    ]
    if not rows:
        return None
    caption = "Images that reach the class they are to reach, of those right untouched"
    return table(caption, "attack|#eps|#images|#reached|#95 % interval", rows)


def source_table(run: Run) -> Table | None:
    """Lay out the most frequent ways from a source class to a target class, in the largest ball."""
    confusion = run.summary.get("confusion") or {}
    attacked = {setting_of(e): e["cells"] for e in confusion.get("attacked") or []}
    if not attacked:
        return None
    norm = next(iter(attacked)).norm
    setting = strongest(run, [s for s in attacked if s.norm == norm])[-1]
    totals: dict[int, int] = {}
    for true, _, images in attacked[setting]:
        totals[true] = totals.get(true, 0) + images
    ways = sorted(
        ((images, true, said) for true, said, images in attacked[setting] if said != true),
        key=lambda way: (-way[0], way[1], way[2]),
    )
    rows: list[Row] = [
        [run.short[true], run.short[said], count(images), _share(images, totals[true])]
        for images, true, said in ways[:_PAIRS]
    ]
    if not rows:
        return None
    return table(
        f"From source to target under {setting.words}, most frequent first",
        "source|target|#images|#of the source",
        rows,
    )


def _share(images: int, total: int) -> Cell:
    return Cell(percent(images / total), images / total)
