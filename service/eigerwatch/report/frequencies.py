"""Plots by frequency and by averaging time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eigerwatch.analysis.assessment import Frequencies
from eigerwatch.analysis.measured import FloatArray
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

MOST_NAMED = 12
"""Lines that get their number into the plot."""
NOT_ASKED = "frequencies were not asked for"


def draw_spectrum(figure: FigureBase, run: Run) -> None:
    """Draw the density with the level of counting and numbered lines."""
    (axes,) = panels(figure, top=22, left=56)
    found = run.assessment.frequencies
    if found is None or found.spectrum.frequencies_hz.size < 2:
        nothing(axes, NOT_ASKED if found is None else found.spectrum.text)
        return
    spectrum = found.spectrum
    x, y = spectrum.frequencies_hz[1:], spectrum.density[1:]
    there = y > 0
    if not there.any():
        nothing(axes, "no fluctuation")
        return
    y = np.where(there, y, np.nan)
    axes.plot(x, y, color=BLUE, linewidth=0.8, label="measured")
    if spectrum.shot_density > 0:
        axes.axhline(
            spectrum.shot_density, color=INK, linestyle="--", linewidth=1.0,
            label="counting alone",
        )  # fmt: skip
    axes.set_xlim(x[0], x[-1])
    # Room for the numbers of the lines, and for the interval.
    highest = float(np.nanmax(y))
    axes.set_ylim(0.7 * float(np.nanmin(y)), 8 * highest)
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    low, high = spectrum.interval()
    if low > 0 and high > 0:
        at = 1.3 * highest / low
        axes.errorbar(
            [x[-1] * 0.88], [at], [[at - at * low], [at * high - at]], fmt="none",
            ecolor=INK, elinewidth=1.0, capsize=3, label="95 % interval",
        )  # fmt: skip
    _number_lines(axes, found, x, y)
    axes.set_xlabel(f"frequency [{spectrum.unit}]")
    axes.set_ylabel(f"relative density [1/{per(spectrum.unit)}]")
    legend(axes)


def per(unit: str) -> str:
    """Return what a density is per, for the label of an axis."""
    return "Hz" if unit == "Hz" else "(1/frame)"


def _number_lines(axes: Axes, found: Frequencies, x: FloatArray, y: FloatArray) -> None:
    for k, line in enumerate(found.lines.lines[:MOST_NAMED], 1):
        near = np.abs(x - line.frequency_hz) <= 2 * found.spectrum.step_hz
        if not near.any() or not np.isfinite(y[near]).any():
            continue
        axes.annotate(
            str(k), (line.frequency_hz, float(np.nanmax(y[near]))), (0, 5),
            textcoords="offset points", ha="center", va="bottom", fontsize="small",
            color=VERMILLION, fontweight="bold",
        )  # fmt: skip
        axes.plot(
            [line.frequency_hz], [float(np.nanmax(y[near]))], "v", color=VERMILLION,
            markersize=3.5,
        )  # fmt: skip


def draw_cumulative(figure: FigureBase, run: Run) -> None:
    """Draw the rms up to each frequency, and from each on."""
    (axes,) = panels(figure, top=22)
    found = run.assessment.frequencies
    if found is None or found.spectrum.frequencies_hz.size < 2:
        nothing(axes, NOT_ASKED if found is None else found.spectrum.text)
        return
    spectrum = found.spectrum
    x = spectrum.frequencies_hz[1:]
    axes.plot(
        x, 100 * spectrum.rms_from_low[1:], color=BLUE, label="from low frequencies"
    )
    axes.plot(
        x, 100 * spectrum.rms_from_high[1:], color=VERMILLION, linestyle="-.",
        label="from high frequencies",
    )  # fmt: skip
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(bottom=0)
    logarithmic(axes, "x")
    axes.set_xlabel(f"frequency [{spectrum.unit}]")
    axes.set_ylabel("cumulative rms [% of the mean]")
    legend(axes, 2)


def draw_bands(figure: FigureBase, run: Run) -> None:
    """Draw each band's share of the variance as a bar."""
    (axes,) = panels(figure, top=22, left=86)
    found = run.assessment.frequencies
    if found is None or not found.bands.bands:
        nothing(axes, NOT_ASKED if found is None else found.bands.text)
        return
    bands = found.bands.bands
    names = [band_name(band.low_hz, band.high_hz, "") for band in bands]
    places = list(range(len(bands)))
    shares = [_or_zero(100 * band.share) for band in bands]
    shots = [_or_zero(100 * band.shot_share) for band in bands]
    axes.barh(places, shares, 0.62, color=SKY, label="measured")
    axes.barh(
        places, shots, 0.28, facecolor="none", edgecolor=INK, hatch="/////",
        linewidth=0.6, label="counting alone",
    )  # fmt: skip
    widest = max(*shares, *shots, 1e-9)
    for place, band, share, shot in zip(places, bands, shares, shots, strict=True):
        text = f"{number(100 * band.share, 3)} %" if band.share >= 0 else NOTHING
        axes.text(
            max(share, shot) + 0.015 * widest,
            place,
            text,
            va="center",
            fontsize="small",
        )
    axes.set_xlim(0, 1.16 * widest)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the variance [%]")
    axes.set_ylabel(f"band [{found.bands.unit}]")
    legend(axes, 2)


def _or_zero(value: float) -> float:
    return value if value > 0 else 0.0


def band_name(low: float, high: float, unit: str) -> str:
    """Return what a band is called."""
    return f"{low:.4g} to {high:.4g} {unit}".strip()


def draw_allan(figure: FigureBase, run: Run) -> None:
    """Draw the Allan deviation with its interval and that of counting."""
    (axes,) = panels(figure, top=22)
    allan, found = run.allan, run.assessment.frequencies
    if allan is None or found is None or not (allan.deviation > 0).any():
        text = NOT_ASKED if allan is None else allan.text or "no fluctuation"
        nothing(
            axes, text if allan is None or not allan.tau_s.size else "no fluctuation"
        )
        return
    there = allan.deviation > 0
    tau = allan.tau_s[there]
    axes.fill_between(
        tau, 100 * allan.low[there], 100 * allan.high[there], color=SKY, alpha=0.35,
        linewidth=0, label="95 % interval",
    )  # fmt: skip
    axes.plot(
        tau, 100 * allan.deviation[there], "o-", color=BLUE, markersize=2.5,
        label="measured",
    )  # fmt: skip
    if np.isfinite(allan.shot).any():
        axes.plot(
            tau, 100 * allan.shot[there], "--", color=INK, linewidth=1.0,
            label="counting alone",
        )  # fmt: skip
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    unit = "s" if found.signal.unit == "Hz" else "frames"
    axes.set_xlabel(f"averaging time [{unit}]")
    axes.set_ylabel("Allan deviation [% of the mean]")
    legend(axes, 3)


def draw_spectrogram(figure: FigureBase, run: Run) -> None:
    """Draw the density against time: lines that come and go."""
    from matplotlib.colors import LogNorm

    (axes,) = panels(figure, left=46, right=70, top=8)
    found = run.spectrogram
    if found is None or not (found.density > 0).any():
        text = NOT_ASKED if found is None else found.text or "no fluctuation"
        nothing(axes, text)
        return
    density = np.where(found.density > 0, found.density, np.nan)
    low, high = np.nanpercentile(density, [2, 99.8])
    step = float(np.diff(found.frequencies_hz[:2])[0]) if density.shape[0] > 1 else 1.0
    times, rows = found.times_s, found.frequencies_hz
    half = found.column_s / 2
    axes.set_facecolor("#eeeeee")
    image = axes.imshow(
        density,
        origin="lower", aspect="auto", interpolation="nearest", cmap="viridis",
        norm=LogNorm(float(low), max(float(high), float(low) * 1.01)),
        extent=(
            float(times[0]) - half, float(times[-1]) + half,
            max(float(rows[0]) - step / 2, 0.0), float(rows[-1]) + step / 2,
        ),
    )  # fmt: skip
    axes.grid(visible=False)
    unit = "s" if found.unit == "Hz" else "frames"
    axes.set_xlabel(f"time since the first frame [{unit}]")
    axes.set_ylabel(f"frequency [{found.unit}]")
    box = axes.get_position()
    bar = figure.add_axes((box.x1 + 0.012, box.y0, 0.015, box.height))
    figure.colorbar(image, cax=bar)
    logarithmic(bar, "y")
    bar.set_ylim(float(low), max(float(high), float(low) * 1.01))
    bar.set_ylabel(f"relative density [1/{per(found.unit)}]")
    bar.grid(visible=False)
