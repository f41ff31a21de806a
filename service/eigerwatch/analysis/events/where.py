"""Where exactly a step lies: to the frame, or to the gap that may hold it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.model import (
    DetectionOptions,
    Event,
    EventKind,
    confidence,
    counted,
    percent,
)
from eigerwatch.analysis.events.robust import FloatArray
from eigerwatch.analysis.events.spikes import PIECE
from eigerwatch.analysis.events.steps import WIDTHS, Level, Step

_REACH = 512
"""Frames looked at on either side, at most."""
RAMP = WIDTHS[0] * PIECE
"""Frames within which steps of one sign are one change of level."""
_MARGIN = 4
_AS_GOOD = 25.0
"""Rise of the squares [residual variances] within which a gap explains as well."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step lies."""

    frame: int
    """First frame after it."""
    gap: tuple[int, int] | None
    """First and last missing frame, where the step may well lie in a gap."""


def place_step(
    positions: npt.NDArray[np.int64],
    totals: FloatArray,
    steady: npt.NDArray[np.bool_],
    gaps: npt.NDArray[np.int64],
    level: Level,
    step: Step,
) -> Place:
    """Place a step where two means explain the frames around it best.

    Parameters
    ----------
    positions, totals
        (n,) of the stored frames.
    steady
        (n,) true for frames that do not stand out.
    gaps
        (g, 2) image_id before and after each gap.
    level, step
        What was found.
    """
    reach = min(_REACH, step.width * PIECE // 2)
    piece = min(step.piece, level.position.size - 1)
    about = int(np.searchsorted(positions, level.position[piece])) - PIECE // 2
    lower, upper = max(0, about - reach), min(positions.size, about + reach)
    index = lower + np.flatnonzero(steady[lower:upper])
    if index.size <= 2 * _MARGIN:
        return Place(int(positions[max(min(about, positions.size - 1), 0)]), None)
    values = totals[index] - totals[index].mean()
    n = values.size
    split = np.arange(1, n)
    explained = np.cumsum(values)[:-1] ** 2 * (n / (split * (n - split)))
    explained[: _MARGIN - 1] = explained[n - _MARGIN :] = 0
    best = int(np.argmax(explained))
    frame = int(positions[index[best + 1]])
    variance = max(float(values @ values - explained[best]), 0.0) / n
    holes = np.flatnonzero(np.diff(positions[index]) > 1)
    good = holes[explained[holes] > explained[best] - _AS_GOOD * variance]
    for hole in good[np.argsort(-explained[good])].tolist():
        before, after = positions[index[hole]], positions[index[hole + 1]]
        real = np.flatnonzero((gaps[:, 0] >= before) & (gaps[:, 1] <= after))
        if real.size:
            first, last = gaps[real[0], 0] + 1, gaps[real[0], 1] - 1
            return Place(frame, (int(first), int(last)))
    return Place(frame, None)


def step_event(
    frames: list[int], steps: list[Step], options: DetectionOptions
) -> Event:
    """Return the event of a change of level, or of several that make one ramp.

    Parameters
    ----------
    frames
        First frame after each step, ascending.
    steps
        Steps of one sign.
    options
        Thresholds.
    """
    size = math.expm1(sum(step.size for step in steps))
    verb = "rose" if size > 0 else "fell"
    first, last = frames[0], frames[-1]
    within = "" if first == last else f" within {counted(last - first + 1)}"
    sure = confidence(max(step.z for step in steps), options.step_sigma)
    reason = f"The mean {verb} by {percent(size)}{within} and stayed there."
    return Event(
        EventKind.STEP, first, last, last - first + 1, size, "relative", sure, reason
    )


def ramps(
    placed: list[tuple[int, Step]],
) -> list[tuple[list[int], list[Step]]]:
    """Join steps of one sign that follow each other within `RAMP` frames."""
    found: list[tuple[list[int], list[Step]]] = []
    for frame, step in sorted(placed, key=lambda one: one[0]):
        if found:
            frames, steps = found[-1]
            if frame - frames[-1] <= RAMP and (steps[-1].size > 0) == (step.size > 0):
                frames.append(frame)
                steps.append(step)
                continue
        found.append(([frame], [step]))
    return found
