"""Changes of drift: the slope of the level changes, the level itself does not jump.

Regression on means of about a second: a line, the known steps, and one hinge more,
where it explains most. Its standard error comes from the long-run variance of the
residuals, var (1 + r)/(1 - r) with their lag-one autocorrelation r: that of a
first-order autoregressive process (D. W. K. Andrews, Econometrica 59 (1991) 817).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from eigerwatch.analysis.events.model import (
    DetectionOptions,
    Event,
    EventKind,
    confidence,
    percent,
)
from eigerwatch.analysis.events.robust import FloatArray
from eigerwatch.analysis.events.steps import Level

_PIECES = 24
"""Pieces of one mean, at least: about a second."""
_MOST_MEANS = 256
_MARGIN = 8
"""Means needed on either side of a hinge."""
_MOST = 4
"""Hinges of a series."""


@dataclass(frozen=True, slots=True)
class Hinge:
    """A change of slope."""

    position: float
    """image_id"""
    change: float
    """Of the slope, relative per frame."""
    before: float
    """Slope before, relative per frame."""
    z: float
    """In standard errors."""


def find_hinges(level: Level, options: DetectionOptions) -> list[Hinge]:
    """Find changes of slope; `level` is without its steps."""
    size = max(_PIECES, -(-level.value.size // _MOST_MEANS))
    n = level.value.size // size
    if n < 3 * _MARGIN:
        return []
    whole = n * size
    weight = level.weight[:whole].reshape(n, size)
    value = np.average(level.value[:whole].reshape(n, size), axis=1, weights=weight)
    place = np.average(level.position[:whole].reshape(n, size), axis=1, weights=weight)
    columns = [np.ones(n), place - place.mean()]
    # What is left of an inexact step must not bend the line.
    columns += [
        (np.arange(n) * size + size / 2 > piece).astype(np.float64)
        for piece in sorted(set(level.boundaries))
    ]
    found: list[Hinge] = []
    candidates = place[_MARGIN : n - _MARGIN]
    ramps = np.maximum(place[:, None] - candidates, 0)
    while len(found) < _MOST:
        hinge, column = _best(np.stack(columns, axis=1), ramps, value, candidates)
        if hinge is None or hinge.z < options.drift_sigma:
            break
        # The change of level that it leads to until the next end of the series.
        rest = min(hinge.position - place[0], place[-1] - hinge.position)
        if abs(hinge.change) * rest < options.drift_smallest:
            break
        found.append(hinge)
        columns.append(column)
    return found


def drift_event(
    hinge: Hinge, frame: int, frame_time_s: float | None, options: DetectionOptions
) -> Event:
    """Return the event of a change of slope that begins with `frame`."""
    after = hinge.before + hinge.change
    per, unit, word = 1.0, "relative/frame", "per 1000 frames"
    shown = 1000.0
    if frame_time_s:
        per, unit, word = 1 / frame_time_s, "relative/s", "per minute"
        shown = 60 / frame_time_s
    return Event(
        EventKind.DRIFT, frame, frame, 1, hinge.change * per, unit,
        confidence(hinge.z, options.drift_sigma),
        f"The drift changed from {_signed(hinge.before * shown)} to"
        f" {_signed(after * shown)} {word}.",
    )  # fmt: skip


def _signed(relative: float) -> str:
    return ("-" if relative < 0 else "+") + percent(relative)


def _best(
    columns: FloatArray, ramps: FloatArray, value: FloatArray, candidates: FloatArray
) -> tuple[Hinge | None, FloatArray]:
    """Return the hinge that explains most of what `columns` leave, and its column."""
    scale = np.maximum(np.abs(columns).max(axis=0), 1e-300)
    base, sizes, _ = np.linalg.svd(columns / scale, full_matrices=False)
    base = base[:, sizes > 1e-10 * sizes[0]]
    residual = value - base @ (base.T @ value)
    free = ramps - base @ (base.T @ ramps)
    power = np.einsum("ij,ij->j", free, free)
    usable = power > 1e-6 * np.einsum("ij,ij->j", ramps, ramps)
    nothing = np.empty(0)
    if not usable.any():
        return None, nothing
    explained = np.where(
        usable, (free.T @ residual) ** 2 / np.where(usable, power, 1), 0
    )
    at = int(np.argmax(explained))
    if not explained[at] > 0:
        return None, nothing
    change = float(free[:, at] @ residual / power[at])
    left = residual - change * free[:, at]
    n = value.size
    freedom = n - base.shape[1] - 1
    variance = float(left @ left) / freedom if freedom > 0 else 0.0
    # Rounding is no noise.
    variance = max(variance, (1e-12 * float(np.abs(value).max())) ** 2)
    total = float(left @ left)
    near = float(left[1:] @ left[:-1]) / total if total > 0 else 0.0
    # Residuals of a fit look less correlated than they are (Kendall's bias).
    near = min(max(near + (1 + 3 * near) / n, 0.0), 0.97)
    long_run = variance * (1 + near) / (1 - near)
    slope_before = _slope_before(value, columns, ramps[:, at])
    z = abs(change) * math.sqrt(float(power[at]) / long_run)
    hinge = Hinge(float(candidates[at]), change, slope_before, z)
    return hinge, ramps[:, at]


def _slope_before(value: FloatArray, columns: FloatArray, ramp: FloatArray) -> float:
    """Return the slope just before a ramp begins, with all columns fitted."""
    full = np.column_stack([columns, ramp])
    scale = np.maximum(np.abs(full).max(axis=0), 1e-300)
    fitted = np.linalg.lstsq(full / scale, value, rcond=None)[0] / scale
    start = int(np.argmax(ramp > 0))
    slope = float(fitted[1])
    for k in range(2, columns.shape[1]):
        column = columns[:, k]
        # Other ramps that have begun add their slope; step functions do not.
        if column.max() > 1 and column[start - 1] > 0:
            slope += float(fitted[k])
    return slope
