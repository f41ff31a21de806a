"""The intensity against frames: all of them, those used, and without their drift."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.decimate import envelope
from eigerwatch.analysis.events.model import EventKind
from eigerwatch.analysis.exclusion import Interval
from eigerwatch.report.model import Run
from eigerwatch.report.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    SOFT,
    VERMILLION,
    nothing,
    panels,
    size_inches,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

FloatArray = npt.NDArray[np.float64]

MAX_POINTS = 3000
WIDEST = 4_000_000
"""Frames from first to last that are laid out one by one."""
MOST_SHADES = 200
"""Bands of exclusions; where there are more, neighbours of a kind are one."""

KIND_LABELS = {
    "topup": "top-up",
    "damaged": "damaged",
    "empty": "empty",
    "step": "step",
    "spike": "spike or dip",
    "drift": "change of slope",
    "gap": "missing frames",
    "user": "by hand",
}
_MARKS: dict[str, tuple[str, str]] = {
    EventKind.TOPUP: ("v", ORANGE),
    EventKind.DAMAGED: ("X", VERMILLION),
    EventKind.EMPTY: ("s", SOFT),
    EventKind.STEP: ("^", GREEN),
    EventKind.SPIKE: ("|", PURPLE),
    EventKind.DRIFT: ("D", SKY),
    EventKind.GAP: ("_", INK),
}
_SHADES: dict[str, tuple[str, str]] = {
    "topup": (ORANGE, ""),
    "damaged": (VERMILLION, "////"),
    "empty": (SOFT, "...."),
    "user": (PURPLE, "\\\\\\\\"),
}


def draw_timeline(figure: FigureBase, run: Run) -> None:
    """Draw three panels over the same frames."""
    axes = panels(figure, (1.0, 1.0, 1.0), top=34, left=58, bottom=54)
    frames, found = run.frames, run.assessment
    mean = found.description.raw.mean
    relative = mean > 0
    scale, unit = (mean, "sum / mean") if relative else (1.0, "sum [counts]")
    if not frames.n:
        for part in axes:
            nothing(part, "no frame is stored")
        return
    drawn = frames.totals.astype(np.float64) / scale
    draw_curve(axes[0], frames.positions, drawn, INK)
    axes[0].set_ylabel(f"all frames\n{unit}")
    _shade(axes, run)
    _mark(axes[0], run)
    used = found.measured
    axes[1].set_ylabel(f"frames used\n{unit}")
    axes[2].set_ylabel(f"detrended\n{unit}")
    if used.n:
        values = used.totals.astype(np.float64) / scale
        rest = found.detrended.residuals / scale
        draw_curve(axes[1], used.positions, values, BLUE)
        starts = found.detrended.starts
        for start, stop in zip(starts, [*starts[1:], used.n], strict=True):
            ends = [start, stop - 1]
            axes[1].plot(
                used.positions[ends], values[ends] - rest[ends],
                color=VERMILLION, linewidth=1.2,
            )  # fmt: skip
        draw_curve(axes[2], used.positions, rest + mean / scale, BLUE)
    else:
        nothing(axes[1], "no frame is used: all are excluded")
        nothing(axes[2], "no frame is used: all are excluded")
    first, last = int(frames.positions[0]), int(frames.positions[-1])
    air = max(0.01 * (last - first), 0.5)
    axes[0].set_xlim(first - air, last + air)
    _time_axis(axes[2], run)
    for part in axes:
        part.ticklabel_format(style="plain", useOffset=False)
    _legend(figure, axes[0])


def _time_axis(axes: Axes, run: Run) -> None:
    axes.set_xlabel("frame (image_id)", labelpad=1)
    base = run.assessment.time_base
    if base.unit != "Hz" or not base.rate_hz > 0:
        return
    rate = base.rate_hz
    tall = 72 * size_inches(axes.figure)[1] * axes.get_position().height
    seconds = axes.secondary_xaxis(-26 / tall, functions=(_over(rate), _over(1 / rate)))
    seconds.set_xlabel(f"time since frame 0 at {rate:.6g} Hz [s]", labelpad=1)


def _over(scale: float) -> Callable[[npt.ArrayLike], FloatArray]:
    return lambda values: np.asarray(values, np.float64) / scale


def broken_line(
    positions: npt.NDArray[np.int64], values: FloatArray
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Return few points that hide no frame, NaN at gaps, and which stand alone.

    Where frames are scattered too widely to be laid out, every point stands alone.
    """
    first = int(positions[0])
    span = int(positions[-1]) - first + 1
    if span > max(WIDEST, 8 * positions.size):
        some = envelope(0, values - values[0], max_points=MAX_POINTS)
        at = some.frames.astype(np.int64)
        return (
            positions[at].astype(np.float64),
            values[at],
            np.ones(at.size, np.bool_),
        )
    laid = np.zeros(span)
    stored = np.zeros(span, np.bool_)
    # float32 about the middle keeps what matters of a small fluctuation.
    middle = float(np.median(values))
    laid[positions - first] = values - middle
    stored[positions - first] = True
    points = envelope(0, laid, stored, max_points=MAX_POINTS)
    return (
        points.frames.astype(np.float64) + first,
        points.values.astype(np.float64) + middle,
        points.alone,
    )


def draw_curve(
    axes: Axes, positions: npt.NDArray[np.int64], values: FloatArray, colour: str
) -> None:
    """Draw a line that breaks where frames are missing."""
    x, y, alone = broken_line(positions, values)
    if not alone.all():
        axes.plot(x, y, color=colour, linewidth=0.5)
    if alone.any():
        axes.plot(x[alone], y[alone], ".", color=colour, markersize=2.0)


def bands(intervals: Sequence[Interval], end: int) -> list[Interval]:
    """Return what is shaded: at most `MOST_SHADES` for each kind, up to frame `end`.

    Neighbours with the fewest frames between them are shaded as one.
    """
    kinds: dict[str, list[Interval]] = {}
    for one in intervals:
        last = end if one.last is None else min(one.last, end)
        if one.first <= last:
            kinds.setdefault(one.kind, []).append(replace(one, last=last))
    found = []
    for members in kinds.values():
        apart = 0
        while len(members) > MOST_SHADES:
            apart = 2 * apart + 1
            members = _merged(members, apart)
        found += members
    return found


def _merged(intervals: list[Interval], apart: int) -> list[Interval]:
    """Join intervals of one kind, in order, at most so many frames apart."""
    found: list[Interval] = []
    for one in intervals:
        before = found[-1].last if found else None
        if before is not None and one.first - before <= apart:
            found[-1] = replace(found[-1], last=max(before, one.last or before))
        else:
            found.append(one)
    return found


def _shade(axes: list[Axes], run: Run) -> None:
    frames = run.frames
    end = int(frames.positions[-1])
    told: set[str] = set()
    for one in bands(run.assessment.excluded.intervals, end):
        colour, hatch = _SHADES.get(one.kind, (SOFT, "xxxx"))
        last = end if one.last is None else one.last
        label = f"excluded: {KIND_LABELS.get(one.kind, one.kind)}"
        for part in axes:
            part.axvspan(
                one.first - 0.5, last + 0.5, facecolor=colour, alpha=0.22,
                linewidth=0, zorder=0,
            )  # fmt: skip
            if hatch:
                part.axvspan(
                    one.first - 0.5, last + 0.5, facecolor="none", hatch=hatch,
                    edgecolor=colour, alpha=0.6, linewidth=0, zorder=0.1,
                )  # fmt: skip
        if label not in told:
            told.add(label)
            axes[0].fill_between(
                [], [], facecolor=colour, alpha=0.35, hatch=hatch, label=label
            )


def _mark(axes: Axes, run: Run) -> None:
    kinds: dict[str, list[int]] = {}
    for event in run.assessment.events:
        kinds.setdefault(event.kind.value, []).append(event.first)
    for kind, places in kinds.items():
        mark, colour = _MARKS.get(kind, ("o", INK))
        axes.plot(
            places, [1.04] * len(places), mark, color=colour, markersize=5.5,
            markeredgewidth=1.2 if mark in "|_" else 0.4, clip_on=False,
            transform=axes.get_xaxis_transform(), linestyle="none",
            label=f"{KIND_LABELS.get(kind, kind)} ({len(places)})",
        )  # fmt: skip


def _legend(figure: FigureBase, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        box: Any = axes.get_position()
        figure.legend(
            handles, labels, loc="upper left", ncols=min(len(handles), 5),
            bbox_to_anchor=(box.x0, 1.0), columnspacing=1.2, markerscale=0.9,
            borderaxespad=0.1, handlelength=1.4,
        )  # fmt: skip


def draw_histogram(figure: FigureBase, run: Run) -> None:
    """Draw how the detrended sums are spread, and how counting alone would be."""
    (axes,) = panels(figure, top=22)
    found = run.assessment
    mean, std = found.detrended.mean, found.detrended.std
    if found.detrended.n < 2 or not mean > 0 or not std > 0:
        nothing(axes, "not enough data, or all frames are equal")
        return
    percent = 100 * found.detrended.residuals / mean
    edges = np.histogram_bin_edges(percent, bins=min(120, max(8, percent.size // 50)))
    width = float(edges[1] - edges[0])
    axes.hist(percent, bins=edges.tolist(), color=SKY, label="frames used")
    x = np.linspace(edges[0], edges[-1], 400)
    shot = found.shot.cv_shot_percent
    for sigma, colour, style, label in (
        (100 * std / mean, INK, "-", "normal, same width"),
        (shot, VERMILLION, "--", "counting alone"),
    ):
        if sigma > width / 8:
            density = np.exp(-0.5 * (x / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
            axes.plot(
                x, percent.size * width * density, style, color=colour, label=label
            )
    axes.set_xlabel("deviation from the line [% of the mean]")
    axes.set_ylabel("frames per bin")
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, columnspacing=1.0
    )
