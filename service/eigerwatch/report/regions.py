"""The detector's modules: which fluctuates more than the others, or is broken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from eigerwatch.report.model import Run
from eigerwatch.report.style import INK, SKY, SOFT, VERMILLION, legend, panels

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase


def draw_region_map(figure: FigureBase, run: Run) -> None:
    """Draw CV_beam of each region where it lies.

    Colours begin at 0 and reach beyond the CV of all together: modules that only
    scatter look alike, and one that deviates stands out.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    (axes,) = panels(figure, left=42, right=64, top=8)
    values = np.array([region.shot.cv_beam_percent for region in run.regions])
    known = values[np.isfinite(values)]
    together = run.assessment.shot.cv_beam_percent
    high = max(float(known.max(initial=0.0)), 1.5 * together if together > 0 else 0.0)
    high = high if high > 0 else 1.0
    shades = ScalarMappable(Normalize(0.0, high), "cividis")
    boxes = run.subject.region_boxes
    for region, value, (y0, y1, x0, x1) in zip(run.regions, values, boxes, strict=True):
        colour = shades.to_rgba(value) if math.isfinite(value) else "#eeeeee"
        axes.add_patch(
            Rectangle(
                (x0, y0), x1 - x0, y1 - y0, facecolor=colour,
                edgecolor=VERMILLION if region.damaged else SOFT,
                linewidth=2.0 if region.damaged else 0.4,
                hatch="///" if region.damaged else None,
            )
        )  # fmt: skip
        if len(boxes) <= 40:
            dark = math.isfinite(value) and value / high < 0.6
            text = f"{value:.3g}" if math.isfinite(value) else "-"
            axes.text(
                (x0 + x1) / 2, (y0 + y1) / 2, text, ha="center", va="center",
                fontsize="x-small", color="white" if dark else INK,
            )  # fmt: skip
    axes.set_xlim(min(b[2] for b in boxes) - 20, max(b[3] for b in boxes) + 20)
    axes.set_ylim(max(b[1] for b in boxes) + 20, min(b[0] for b in boxes) - 20)
    axes.set_aspect("equal", adjustable="box", anchor="W")
    axes.grid(visible=False)
    axes.set_xlabel("x [pixels]")
    axes.set_ylabel("y [pixels]")
    axes.apply_aspect()
    box = axes.get_position()
    bar = figure.add_axes((box.x1 + 0.02, box.y0, 0.022, box.height))
    figure.colorbar(shades, cax=bar)
    bar.set_ylabel("CV_beam [%]")
    bar.grid(visible=False)


def draw_region_bars(figure: FigureBase, run: Run) -> None:
    """Draw CV_beam of each region as bars."""
    (axes,) = panels(figure, top=22)
    values = [region.shot.cv_beam_percent for region in run.regions]
    bars = axes.bar(range(1, len(values) + 1), np.nan_to_num(values), 0.75, color=SKY)
    for bar, region in zip(bars, run.regions, strict=True):
        if region.damaged:
            bar.set(edgecolor=VERMILLION, hatch="////", linewidth=1.2)
    total = run.assessment.shot.cv_beam_percent
    if math.isfinite(total):
        axes.axhline(
            total, color=INK, linestyle="--", linewidth=1.0, label="all together"
        )
        legend(axes)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("region, in the order of the table")
    axes.set_ylabel("CV_beam [%]")
