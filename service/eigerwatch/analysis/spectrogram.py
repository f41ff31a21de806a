"""Power spectral density against time, bounded in size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft

from eigerwatch.analysis.measured import FloatArray
from eigerwatch.analysis.signals import Signal
from eigerwatch.analysis.sines import Sines
from eigerwatch.analysis.spectrum import BATCH, bridge, detrend_rows, hann
from eigerwatch.analysis.statistics import finite_or_none

MOST_COLUMNS = 240
MOST_ROWS = 256
SHORTEST_SEGMENT = 64
LONGEST_SEGMENT = 4096


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """One-sided spectral density by frequency and time."""

    times_s: FloatArray
    """(c,) middle of each column since the first frame [s]; frames if no time."""
    frequencies_hz: FloatArray
    """(r,) middle of each row [unit]."""
    density: FloatArray
    """(r, c) [1/unit]; NaN where a column has no whole segment."""
    column_s: float
    """Time between columns [s]."""
    unit: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, safe for JSON: None instead of NaN."""
        rows = [
            [finite_or_none(value) for value in row] for row in self.density.tolist()
        ]
        return {
            "times_s": self.times_s.tolist(),
            "frequencies_hz": self.frequencies_hz.tolist(),
            "density": rows,
            "column_s": finite_or_none(self.column_s),
            "unit": self.unit,
            "text": self.text,
        }


def spectrogram(
    signal: Signal,
    sines: Sines | None = None,
    columns: int = MOST_COLUMNS,
    rows: int = MOST_ROWS,
) -> Spectrogram:
    """Estimate the density in columns of time, each a mean of Hann segments.

    Parameters
    ----------
    sines
        The signal's lines: these go on through bridged gaps.
    columns, rows
        Most of each.
    """
    slots = signal.values.size
    if slots < 2 * SHORTEST_SEGMENT or columns < 1 or rows < 1:
        return _nothing(signal)
    bridged = bridge(signal, sines)
    length = 1 << max(0, slots // 64).bit_length()
    length = min(max(length, SHORTEST_SEGMENT), LONGEST_SEGMENT)
    # Half overlapping, and more than one to a column where there are many.
    step = length // 2
    starts = np.arange(0, slots - length + 1, step)
    per_column = -(-starts.size // columns)
    starts = starts[: starts.size // per_column * per_column]
    usable = _usable(starts, length, bridged.runs)
    window = hann(length)
    segments = np.lib.stride_tricks.sliding_window_view(bridged.values, length)
    merged = -(-(length // 2) // rows)
    edges = np.arange(1, length // 2 + 1, merged)
    widths = np.diff(edges, append=length // 2 + 1)
    density = np.full((starts.size, edges.size), math.nan)
    for k in range(0, starts.size, BATCH):
        chosen = np.flatnonzero(usable[k : k + BATCH]) + k
        if not chosen.size:
            continue
        tapered = detrend_rows(segments[starts[chosen]]) * window
        power = np.abs(scipy.fft.rfft(tapered, axis=1)) ** 2
        power = (power / float(window @ window) + bridged.lost) * 2 / signal.rate_hz
        power[:, -1] /= 2
        density[chosen] = np.add.reduceat(power, edges, axis=1) / widths
    grouped = density.reshape(-1, per_column, edges.size)
    there = np.isfinite(grouped[:, :, 0])
    number = there.sum(axis=1)[:, None]
    total = np.where(there[:, :, None], grouped, 0).sum(axis=1)
    mean = np.where(number > 0, total / np.maximum(number, 1), math.nan)
    middle = starts.reshape(-1, per_column).mean(axis=1) + length / 2
    return Spectrogram(
        times_s=(signal.first_slot + middle) / signal.rate_hz,
        frequencies_hz=(edges + (widths - 1) / 2) * signal.rate_hz / length,
        density=mean.T,
        column_s=per_column * step / signal.rate_hz,
        unit=signal.unit,
        text=bridged.text,
    )


def _usable(
    starts: np.ndarray[Any, np.dtype[np.int64]],
    length: int,
    runs: np.ndarray[Any, np.dtype[np.int64]],
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which segments lie in one run."""
    run = np.searchsorted(runs[:, 0], starts, side="right") - 1
    usable: np.ndarray[Any, np.dtype[np.bool_]] = (run >= 0) & (
        starts + length <= runs[run, 1]
    )
    return usable


def _nothing(signal: Signal) -> Spectrogram:
    return Spectrogram(
        times_s=np.empty(0),
        frequencies_hz=np.empty(0),
        density=np.empty((0, 0)),
        column_s=math.nan,
        unit=signal.unit,
        text=signal.text or f"Not enough data for a spectrogram (n = {signal.n}).",
    )
