"""Figures that stand in the page as text: they take its text colour, so that they are legible on light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from cycler import cycler
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

COLOURS: Final = ("#3b82c4", "#c9741f", "#2a9d6f", "#9b6bcf", "#d9483b", "#8a929e")
"""The colours of lines; each has a contrast of at least 3 to both backgrounds."""

GRADE_COLOURS: Final = ("#3a9188", "#c98f00", "#d9483b")
"""The colours of the three grades, which the style sheet has too."""

_INK: Final = "#010203"
"""Stands for the page's text colour, which a figure cannot know."""

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.color": COLOURS[-1],
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
    "figure.figsize": (3.8, 2.7),
    "figure.constrained_layout.use": True,
}


class Chart:
    """A figure in the making.

    Parameters
    ----------
    axes : Axes
        Draw here.
    """

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = Markup("")
        """The figure as inline SVG, when the block of `draw` has ended."""


@contextmanager
def draw(name: str, alt: str, title: str = "") -> Iterator[Chart]:
    """Draw a figure inside a ``with`` block; afterwards its `Chart.svg` is ready.

    Parameters
    ----------
    name : str
        Different for each figure of a page.
    alt : str
        What a screen reader says.
    title : str
        What stands above it.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure()
        chart = Chart(figure.add_subplot())
        yield chart
        chart.axes.set_title(title, fontsize=9, loc="left")
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    chart.svg = _inline(text.getvalue(), alt)


def _inline(svg: str, alt: str) -> Markup:
    """Make a figure fit to stand inside a page: no header, no styles or names that would reach beyond it."""
    view_box = re.search(r'viewBox="[^"]*"', svg)
    body = svg[re.search(r"<svg[^>]*>", svg).end() :]  # type: ignore[union-attr]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace(_INK, "currentColor")
    body = re.sub(r">\s+<", "><", body)
    start = f'<svg class="chart" role="img" aria-label="{escape(alt)}" {view_box[0] if view_box else ""}>'
    return Markup(start + body)


def steps(values: ArrayLike, points: int = 60) -> tuple[Sequence[float], Sequence[float]]:
    """Give the cumulative distribution of values: x, and the share of values up to x, at most `points` of them."""
    ordered = np.sort(np.asarray(values, float))
    share = np.linspace(0, 1, min(points, len(ordered)) + 1)[1:]
    return np.quantile(ordered, share, method="inverted_cdf").tolist(), share.tolist()
