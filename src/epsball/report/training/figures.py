"""The curves of a training run: accuracy, clean and under attack, and loss, over epochs."""

from typing import Any

import altair as alt
import polars as pl

from epsball.report.drawing.figure import WIDE, Chart, Figure
from epsball.report.drawing.numbers import MISSING, percent
from epsball.report.drawing.palette import series_colours, series_shapes
from epsball.report.drawing.table import table

ACCURACIES = {
    "pgd_accuracy": "held out, PGD-10",
    "fgsm_accuracy": "held out, FGSM",
    "validation_accuracy": "held out, clean",
    "train_accuracy": "in training",
}
LOSSES = {"train_loss": "in training", "validation_loss": "held out"}
_SCHEMA = {"epoch": pl.Int64, "series": pl.String, "value": pl.Float64}


def accuracy_figure(run: dict[str, Any]) -> Figure:
    """Build the curves of accuracy."""
    rows = [
        [str(row["epoch"]), *(percent(row.get(field)) for field in ACCURACIES)]
        for row in run["epochs"]
    ]
    frame = curve_frame(run, ACCURACIES)
    return Figure(
        key="accuracy",
        caption="Accuracy after every epoch. Attacks are the watch's: a few hundred images, "
        "FGSM with the true label and PGD of ten steps; a curve, no verdict. PGD falling away "
        "from FGSM is catastrophic overfitting; FGSM above clean is label leaking. In training "
        "means at the first pass of the loss, while the weights still moved.",
        alt="Accuracy over epochs: in training, on held-out images, under FGSM and under PGD.",
        draw=lambda width: draw_curves(frame, list(ACCURACIES.values()), width, share=True),
        table=table("Accuracy", "epoch|" + _heads(ACCURACIES), rows),
    )


def loss_figure(run: dict[str, Any]) -> Figure:
    """Build the curves of the loss."""
    rows = [
        [str(row["epoch"]), *(_four(row.get(field)) for field in LOSSES), f"{row['lr']:.3g}"]
        for row in run["epochs"]
    ]
    frame = curve_frame(run, LOSSES)
    return Figure(
        key="loss",
        caption="The recipe's loss after every epoch. In training it includes the penalties on "
        "weights and label smoothing; on held-out images it does not.",
        alt="Loss over epochs, in training and on held-out images.",
        draw=lambda width: draw_curves(frame, list(LOSSES.values()), width, share=False),
        table=table("Loss and learning rate", f"epoch|{_heads(LOSSES)}|#learning rate", rows),
    )


def curve_frame(run: dict[str, Any], fields: dict[str, str]) -> pl.DataFrame:
    """Gather some fields of every epoch.

    Args:
        run: training.json.
        fields: of an epoch, and what each is called.

    Returns:
        Columns epoch, series, value; an epoch that did not measure a field is left out.
    """
    points = [
        {"epoch": row["epoch"], "series": name, "value": row[field]}
        for field, name in fields.items()
        for row in run["epochs"]
        if row.get(field) is not None
    ]
    return pl.DataFrame(points, schema=_SCHEMA)


def draw_curves(frame: pl.DataFrame, names: list[str], width: int, *, share: bool) -> Chart:
    """Draw one line a series over epochs.

    Args:
        frame: as `curve_frame` returns it.
        names: every series there could be, so that each keeps its colour.
        width: total width, pixels.
        share: whether values are shares in [0, 1].

    Returns:
        Lines with points.
    """
    shown = [name for name in names if name in frame["series"]]
    colours = dict(zip(names, series_colours(names), strict=True))
    shapes = dict(zip(names, series_shapes(names), strict=True))
    x = alt.X("epoch:Q").axis(alt.Axis(title="epoch", tickMinStep=1, format="d", grid=False))
    axis = alt.Axis(title=None, format=".0%" if share else "~g", tickCount=5)
    y = alt.Y("value:Q").axis(axis)
    y = y.scale(domain=[0, 1]) if share else y.scale(zero=False)
    legend = alt.Legend(columns=1 if width < WIDE else 4, symbolOpacity=1)
    colour = alt.Color("series:N").scale(domain=shown, range=[colours[n] for n in shown])
    shape = alt.Shape("series:N").scale(domain=shown, range=[shapes[n] for n in shown])
    tips = [alt.Tooltip("series:N"), alt.Tooltip("epoch:Q")]
    tips.append(alt.Tooltip("value:Q", format=".1%" if share else ".4~g"))
    base = alt.Chart(frame)
    return alt.layer(
        base.mark_line(strokeWidth=2).encode(x, y, colour.legend(legend)),
        base.mark_point(filled=True, size=45, opacity=1).encode(
            x, y, colour.legend(legend), shape.legend(legend), tooltip=tips
        ),
    ).properties(width=min(width - 60, 720), height=300 if width >= WIDE else 220)


def _heads(fields: dict[str, str]) -> str:
    return "|".join(f"#{name}" for name in fields.values())


def _four(value: float | None) -> str:
    return MISSING if value is None else f"{value:.4f}"
