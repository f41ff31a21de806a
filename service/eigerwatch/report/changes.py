"""Plots of two runs over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eigerwatch.analysis.comparison import Comparison
from eigerwatch.report.frequencies import band_name, per
from eigerwatch.report.model import Run
from eigerwatch.report.numbers import NOTHING, number
from eigerwatch.report.style import (
    BLUE,
    INK,
    SKY,
    VERMILLION,
    legend,
    logarithmic,
    nothing,
    panels,
)
from eigerwatch.report.timeline import draw_curve

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

COLOURS = (BLUE, VERMILLION)
STYLES = ("-", "--")
MARKS = ("o", "s")


def draw_both_runs(figure: FigureBase, comparison: Comparison, runs: list[Run]) -> None:
    """Draw the frames used of both, detrended, on the same scale."""
    axes = panels(figure, (1.0, 1.0), top=10, left=58, apart=30, sharex=False)
    limits = []
    for part, run, name, colour in zip(axes, runs, "AB", COLOURS, strict=True):
        found = run.assessment
        mean = found.detrended.mean
        part.set_ylabel(f"{name}: detrended\nsum / mean")
        if not found.measured.n or not mean > 0:
            nothing(part, "no frame is used, or the mean is 0")
            continue
        values = 1 + found.detrended.residuals / mean
        draw_curve(part, found.measured.positions, values, colour)
        part.ticklabel_format(style="plain", useOffset=False)
        limits.append(part.get_ylim())
    for part in axes:
        if limits:
            part.set_ylim(min(one[0] for one in limits), max(one[1] for one in limits))
    axes[-1].set_xlabel("frame (image_id)")


def draw_both_spectra(figure: FigureBase, comparison: Comparison) -> None:
    """Draw both densities, and below them B over A with its interval."""
    found = comparison.spectrum
    if found is None or not found.frequencies_hz.size:
        (axes,) = panels(figure)
        text = comparison.frequencies_text if found is None else found.text
        nothing(axes, text or "not enough data")
        return
    upper, lower = panels(figure, (1.5, 1.0), top=22, left=58, apart=14)
    x = found.frequencies_hz
    for name, density, shot, colour, style in zip(
        "AB",
        (found.density_a, found.density_b),
        (found.shot_density_a, found.shot_density_b),
        COLOURS,
        STYLES,
        strict=True,
    ):
        y = np.where(density > 0, density, np.nan)
        upper.plot(x, y, color=colour, linewidth=0.8, label=name)
        if shot > 0:
            upper.axhline(
                shot, color=colour, linestyle=(0, (6, 2) if style == "-" else (2, 2)),
                linewidth=1.0, label=f"{name}: counting alone",
            )  # fmt: skip
    upper.set_xlim(x[0], x[-1])
    logarithmic(upper, "x")
    logarithmic(upper, "y")
    upper.set_ylabel(f"relative density\n[1/{per(found.unit)}]")
    legend(upper)
    lower.set_ylabel("B / A")
    lower.set_xlabel(f"frequency [{found.unit}]")
    if not found.ratio.size or not (found.ratio > 0).any():
        nothing(lower, "no ratio: resolutions differ")
        return
    with np.errstate(invalid="ignore"):
        known = (found.low > 0) & np.isfinite(found.high)
    lower.fill_between(
        x, found.low, found.high, where=known, color=SKY, alpha=0.5, linewidth=0,
        label=f"{100 * found.confidence:g} % interval, pointwise",
    )  # fmt: skip
    lower.plot(x, found.ratio, color=INK, linewidth=0.6)
    lower.axhline(1.0, color=VERMILLION, linewidth=0.8)
    logarithmic(lower, "y")
    legend(lower)


def draw_band_changes(figure: FigureBase, comparison: Comparison) -> None:
    """Draw the rms of each band in both runs."""
    (axes,) = panels(figure, top=22, left=86)
    bands = comparison.bands
    if not bands:
        nothing(axes, comparison.frequencies_text or "no band in common")
        return
    places = np.arange(len(bands))
    widest = 1e-9
    for name, values, offset, colour, hatch in (
        ("A", [band.rms_a_percent for band in bands], -0.19, BLUE, ""),
        ("B", [band.rms_b_percent for band in bands], 0.19, VERMILLION, "////"),
    ):
        axes.barh(
            places + offset, np.nan_to_num(values), 0.36, facecolor=colour,
            edgecolor="white", linewidth=0, hatch=hatch, label=name,
        )  # fmt: skip
        widest = max(widest, float(np.nan_to_num(values).max()))
    for place, band in zip(places.tolist(), bands, strict=True):
        high = max(
            float(np.nan_to_num(band.rms_a_percent)),
            float(np.nan_to_num(band.rms_b_percent)),
        )
        said = number(band.ratio, 3)
        text = said if said == NOTHING else f"\u00d7 {said}"
        text += " *" if band.significant else ""
        axes.text(high + 0.015 * widest, place, text, va="center", fontsize="small")
    axes.set_xlim(0, 1.2 * widest)
    axes.set_yticks(
        places, [band_name(band.low_hz, band.high_hz, "") for band in bands]
    )
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("rms [% of the mean]")
    axes.set_ylabel(f"band [{bands[0].unit}]")
    legend(axes, 2)


def draw_both_allan(figure: FigureBase, runs: list[Run]) -> None:
    """Draw the Allan deviations of both with their intervals."""
    (axes,) = panels(figure, top=22)
    units = []
    for name, run, colour, mark in zip("AB", runs, COLOURS, MARKS, strict=True):
        allan, found = run.allan, run.assessment.frequencies
        if allan is None or found is None or not (allan.deviation > 0).any():
            continue
        there = allan.deviation > 0
        tau = allan.tau_s[there]
        axes.fill_between(
            tau, 100 * allan.low[there], 100 * allan.high[there], color=colour,
            alpha=0.18, linewidth=0,
        )  # fmt: skip
        axes.plot(
            tau, 100 * allan.deviation[there], f"{mark}-", color=colour,
            markersize=2.5, label=name,
        )  # fmt: skip
        units.append("s" if found.signal.unit == "Hz" else "frames")
    if not units or len(set(units)) > 1:
        axes.clear()
        nothing(axes, "not known of both in the same unit")
        return
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    axes.set_xlabel(f"averaging time [{units[0]}]")
    axes.set_ylabel("Allan deviation [% of the mean]")
    legend(axes, 2)
