"""From an Altair chart to what a page or a file holds: two widths, still and live, one theme."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import altair as alt
import vl_convert
from markupsafe import Markup

from epsball.files import write_bytes
from epsball.report.drawing.palette import INK, RULE, SOFT
from epsball.report.drawing.table import Table

Chart: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart | alt.VConcatChart
WIDE, NARROW = 920, 340  # pixels; the page shows the narrow drawing below 44rem
FORMATS = ("svg", "png", "pdf")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
_CONFIG: dict[str, Any] = {
    "aria": False,  # the figure around it carries one description; marks would be read one by one
    "background": "transparent",
    "font": _FONT,
    "padding": {"left": 0, "right": 4, "top": 4, "bottom": 4},
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "gridColor": RULE.light,
        "labelColor": SOFT.light,
        "labelFontSize": 12,
        "labelPadding": 6,
        "titleColor": SOFT.light,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": INK.light,
        "labelFontSize": 12,
        "labelLimit": 260,
        "orient": "top",
        "symbolSize": 80,
        "symbolStrokeWidth": 2,
        "title": None,
    },
    "title": {"anchor": "start", "color": INK.light, "fontSize": 14, "fontWeight": 600},
    "text": {"color": INK.light, "fontSize": 12},
}


@dataclass(frozen=True)
class Figure:
    """One figure of the page.

    Args:
        key: its name in the page and on disk: letters, digits, hyphens.
        caption: what is seen, in plain words.
        alt: what it shows, for those who cannot see it.
        draw: total width in pixels -> the chart.
        table: the numbers behind it.
        unfolded: whether the table is part of what is shown, not only there for who asks.
    """

    key: str
    caption: str
    alt: str
    draw: Callable[[int], Chart]
    table: Table
    unfolded: bool = False
    _specs: dict[int, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    def spec(self, width: int) -> dict[str, Any]:
        """Return the Vega-Lite specification at a width, with the house theme."""
        if width not in self._specs:
            # checking it against the schema takes longer than drawing; a test does that
            plain = self.draw(width).to_dict(validate=False)
            self._specs[width] = plain | {"config": _CONFIG}
        return self._specs[width]

    def still(self, width: int) -> Markup:
        """Return the chart as an SVG element whose ids clash with no other's on the page."""
        svg = vl_convert.vegalite_to_svg(self.spec(width))
        mark = f"{self.key}-{width}-"
        svg = re.sub(r'\bid="', f'id="{mark}', svg)
        svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{mark}", svg)
        hidden = svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
        return Markup(hidden)  # noqa: S704 - Vega escapes what it draws; a test feeds it markup


def live_specs(figures: list[Figure]) -> Markup:
    """Return what the page's script needs, as JSON that no text in it can break out of."""
    specs = {f.key: {"wide": f.spec(WIDE), "narrow": f.spec(NARROW)} for f in figures}
    return inline_json(specs)


def inline_json(value: Any) -> Markup:  # noqa: ANN401 - whatever JSON can hold
    r"""Write JSON for a script element: "<", ">" and "&" are escaped, so "</script>" stays text.

    Example:
        >>> str(inline_json("</script>")) == chr(34) + r"\u003c/script\u003e" + chr(34)
        True
    """
    text = json.dumps(value, separators=(",", ":"), sort_keys=True)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def write_figures(figures: list[Figure], where: Path) -> list[Path]:
    """Write every figure as SVG, PNG (twice the pixels) and PDF, on white paper.

    Args:
        figures: those of a page.
        where: the directory; made if absent.

    Returns:
        The files, in order.
    """
    written = []
    for figure in figures:
        paper = _CONFIG | {"background": "white", "padding": 12}
        spec = figure.spec(WIDE) | {"config": paper}
        files = {
            "svg": vl_convert.vegalite_to_svg(spec).encode(),
            "png": vl_convert.vegalite_to_png(spec, scale=2),
            "pdf": vl_convert.vegalite_to_pdf(spec),
        }
        written += [write_bytes(where / f"{figure.key}.{kind}", files[kind]) for kind in FORMATS]
    return written
