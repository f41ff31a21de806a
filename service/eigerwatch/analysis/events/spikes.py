"""Short deviations: frames that leave the level of their neighbourhood and return.

The level of a frame is the median of medians over `PIECE` frames, before, around or
after it, whichever is nearest: so a step is no deviation, and what lasts longer than
about 60 frames is one of level. Scale is the noise found around that level.
"""

from __future__ import annotations

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
from eigerwatch.analysis.events.robust import (
    FloatArray,
    filled,
    known_median,
    running_median,
    runs_of,
    sigma_of,
)

PIECE = 32
"""Frames of one median, and of one mean of the level."""
CONTEXT = 3 * PIECE
"""Frames needed on either side."""
_FEWEST_OF_PIECE = 8
_FEWEST_OF_SCALE = 256
"""Residuals from which a block's own scale is taken."""
_FEWEST = 24
"""Residuals without which nothing can be said."""
_JOINED = 2
"""Ordinary frames between two deviations of the same sign that are one."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Neighbouring frames on the same side of the level."""

    start: int
    """Index of the first frame."""
    stop: int
    """Index past the last frame."""
    peak: int
    """Index of the frame that is farthest off."""
    size: float
    """Of that frame, relative to its level."""
    z: float
    """Of that frame, in standard errors."""
    frames: int
    """How many deviate."""

    def joined(self, later: Deviation) -> Deviation:
        """Return both as one."""
        peak = self if abs(self.size) >= abs(later.size) else later
        return Deviation(
            self.start, later.stop, peak.peak, peak.size, peak.z,
            self.frames + later.frames,
        )  # fmt: skip


def deviations(
    values: FloatArray,
    start: int,
    stop: int,
    offset: int,
    scale: float | None,
    threshold: float,
) -> tuple[list[Deviation], float | None]:
    """Find the short deviations of a block, and the scale of its noise.

    Parameters
    ----------
    values
        (n,) sums with up to `CONTEXT` frames before and after the block [counts]; NaN
        for empty and damaged frames. Index 0 is a multiple of `PIECE`.
    start, stop
        Range of the block in `values`.
    offset
        Index of ``values[0]`` in the series.
    scale
        Relative scale of the block before, taken where this one is short.
    threshold
        Standard errors that a deviation must have.
    """
    pieces = -(-values.size // PIECE)
    padded = np.full(pieces * PIECE, np.nan)
    padded[: values.size] = values
    rows = padded.reshape(pieces, PIECE)
    medians = known_median(rows)
    few = np.count_nonzero(~np.isnan(rows), axis=1) < _FEWEST_OF_PIECE
    if not few.all():
        medians[few] = np.nan
    level = filled(running_median(medians, 2))
    if not level.size or not np.any(level > 0):
        return [], scale
    level = np.where(level > 0, level, np.nan)
    around = np.repeat(level, PIECE)[start:stop]
    block = padded[start:stop]
    residual = block / around - 1
    known = residual[~np.isnan(residual)]
    if known.size >= _FEWEST_OF_SCALE or (scale is None and known.size >= _FEWEST):
        scale = sigma_of(known)
    if scale is None or not known.size:
        return [], scale
    # Counting noise is the least there is.
    sigma = np.maximum(scale, 1 / np.sqrt(around))
    with np.errstate(invalid="ignore"):
        far = np.abs(residual) > threshold * sigma
        if not far.any():
            return [], scale
        first, last = level[:1], level[-1:]
        for shifted in (
            np.concatenate([first, level[:-1]]),
            np.concatenate([level[1:], last]),
        ):
            other = block / np.repeat(shifted, PIECE)[start:stop] - 1
            nearer = np.abs(other) < np.abs(residual)
            residual = np.where(nearer, other, residual)
        far = np.abs(residual) > threshold * sigma
    found: list[Deviation] = []
    for sign in (-1, 1):
        for begin, end in runs_of(far & (residual * sign > 0)).tolist():
            peak = begin + int(np.argmax(np.abs(residual[begin:end])))
            found.append(
                Deviation(
                    start=offset + start + begin,
                    stop=offset + start + end,
                    peak=offset + start + peak,
                    size=float(residual[peak]),
                    z=float(abs(residual[peak]) / sigma[peak]),
                    frames=end - begin,
                )
            )
    return sorted(found, key=lambda one: one.start), scale


def joined(found: list[Deviation], most: int) -> list[Deviation]:
    """Return deviations of the same sign joined where next to each other.

    Where there are more than `most`, those farther apart are joined too, of either
    sign.
    """
    apart = _JOINED
    while True:
        result: list[Deviation] = []
        for one in found:
            if (
                result
                and one.start - result[-1].stop <= apart
                and (apart > _JOINED or (one.size > 0) == (result[-1].size > 0))
            ):
                result[-1] = result[-1].joined(one)
            else:
                result.append(one)
        if len(result) <= most:
            return result
        apart *= 2


def marked(found: list[Deviation], start: int, stop: int) -> npt.NDArray[np.bool_]:
    """Return (stop - start,) true within a deviation."""
    inside = np.zeros(stop - start, np.bool_)
    for one in found:
        inside[max(one.start - start, 0) : max(one.stop - start, 0)] = True
    return inside


def spike_event(
    one: Deviation, first: int, last: int, remark: str, options: DetectionOptions
) -> Event:
    """Return the event of a deviation that is no top-up; `remark` says why, if down."""
    way = "above" if one.size > 0 else "below"
    size = f"{percent(one.size)} {way} the neighbours"
    return Event(
        EventKind.SPIKE, first, last, one.frames, one.size, "relative",
        confidence(one.z, options.spike_sigma),
        f"{counted(one.frames)} up to {size}{remark}.",
    )  # fmt: skip
