"""Steps: the level changes at once and stays.

A difference of the means of `width` pieces after and before is held against the
scale of the same difference elsewhere in the series. That scale holds whatever the
beam does at that width, 1/f noise and lines as well as counting: it is the long-run
standard error, found instead of modelled. The clearest steps are
taken out, all measured again together, and the search repeated (binary
segmentation; A. J. Scott and M. Knott, Biometrics 30 (1974) 507). Drift is taken
out as the running median of the rate, so that gaps do not make steps of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from eigerwatch.analysis.events.model import DetectionOptions
from eigerwatch.analysis.events.robust import (
    MAD_TO_SIGMA,
    FloatArray,
    filled,
    running_median,
)
from eigerwatch.analysis.events.spikes import PIECE

Span = tuple[int, int]
"""First and last image_id of what lies between two levels."""

WIDTHS = (16, 64, 256)
"""Pieces on either side: 0.7, 2.7 and 11 s at 746 Hz and 32 frames."""
_NARROWEST = 4
_FEWEST_WIDTHS = 8
"""Widths in a series without which its scale says nothing."""
_REFUSED = 0.7
"""Part of the thresholds below which a step is given up when measured again."""
_MOST = 50
"""Steps of a series."""
_ATTEMPTS = 3
"""Drift and the steps of top-ups are measured by turns."""


@dataclass(frozen=True, slots=True)
class Level:
    """Means of consecutive pieces of a series, without the frames that stand out."""

    value: FloatArray
    """(k,) natural logarithm, relative to the series' median: noise and drift of a beam
    are in proportion to its intensity."""
    position: FloatArray
    """(k,) mean image_id."""
    weight: FloatArray
    """(k,) frames of each."""
    floor: FloatArray
    """(k,) relative standard deviation of one frame, as far as neighbours differ."""
    boundaries: tuple[int, ...] = ()
    """First piece of each new level: steps already taken out."""

    def without(self, steps: Iterable[tuple[int, float]]) -> Level:
        """Return the level without steps, given as first piece and size of each."""
        value, weight = self.value.copy(), self.weight.copy()
        pieces = []
        for piece, size in steps:
            value[piece:] -= size
            # Here both levels mix: these pieces must not count as a new change.
            weight[max(piece - 1, 0) : piece + 1] = 1e-9 * self.weight.max()
            pieces.append(piece)
        return replace(self, value=value, weight=weight, boundaries=tuple(pieces))

    def before(self, position: float) -> int:
        """Return the first piece whose mean position is at or after `position`."""
        return int(np.searchsorted(self.position, position))


@dataclass(frozen=True, slots=True)
class Step:
    """A change of level."""

    piece: int
    """First piece after it."""
    size: float
    """Of the logarithm."""
    error: float
    """Standard error of `size`."""
    width: int
    """Pieces compared on either side."""

    @property
    def relative(self) -> float:
        """Change over the level before."""
        return math.expm1(self.size)

    @property
    def z(self) -> float:
        """Size in standard errors."""
        return abs(self.size) / self.error


@dataclass(frozen=True, slots=True)
class Scan:
    """Differences of means of one width."""

    width: int
    difference: FloatArray
    """(k + 1,) without drift; NaN where there is no room."""
    rate: FloatArray
    """(k + 1,) drift per frame."""
    sigma: FloatArray
    """(k + 1,) standard error of a difference."""


def find_steps(
    level: Level, known: list[Span], options: DetectionOptions
) -> tuple[list[Step], Level]:
    """Find the steps of `level`, and return it without them and those at `known`.

    Parameters
    ----------
    level
        Level of the series.
    known
        Where there is a step in any case, at a top-up.
    options
        Thresholds.
    """
    found: list[Step] = []
    refused: set[int] = set()
    while True:
        spans = known + [_span(level, step) for step in found]
        # Where there are too few pieces, what was found first must do.
        first = [0.0] * len(known) + [step.size for step in found]
        sizes = [
            size if step is None else step.size
            for size, step in zip(first, steps_at(level, spans), strict=True)
        ]
        rest = level.without(
            (level.before(last), size)
            for (_, last), size in zip(spans, sizes, strict=True)
        )
        measured = [
            replace(step, size=size)
            for step, size in zip(found, sizes[len(known) :], strict=True)
        ]
        # What was only the shadow of another step is gone when that one is known.
        weak = [
            step
            for step in measured
            if step.z < _REFUSED * options.step_sigma
            or abs(step.size) < _REFUSED * options.step_smallest
        ]
        if weak:
            refused |= {step.piece for step in weak}
            found = [step for step in measured if step.piece not in refused]
            continue
        found = measured
        more = _clearest(rest, refused, options) if len(found) < _MOST else []
        if not more:
            return sorted(found, key=lambda step: step.piece), rest
        found = found + more


def _span(level: Level, step: Step) -> Span:
    """Return where a step lies, as image_id."""
    at = min(step.piece, level.position.size - 1)
    place = int(np.floor(level.position[at]))
    return place, place


def _clearest(level: Level, refused: set[int], options: DetectionOptions) -> list[Step]:
    """Return the clearest steps, so far apart that none shows in another's means."""
    candidates: list[Step] = []
    for width in WIDTHS:
        scan = scan_of(level, width)
        if scan is None:
            continue
        size = np.abs(np.nan_to_num(scan.difference))
        clear = size > options.step_sigma * scan.sigma
        clear &= size >= options.step_smallest
        for piece in (*level.boundaries, *refused):
            # What is left of a step that was taken out, not quite exactly.
            clear[max(piece - width // 4, 0) : piece + width // 4 + 1] = False
        candidates += [
            Step(piece, float(scan.difference[piece]), float(scan.sigma[piece]), width)
            for piece in np.flatnonzero(clear).tolist()
        ]
    taken: list[Step] = []
    for step in sorted(candidates, key=lambda one: -one.z):
        # Much smaller ones may be shadows: they are asked again without this one.
        if taken and abs(step.size) < 0.25 * abs(taken[0].size):
            continue
        if len(taken) < _MOST and all(
            abs(step.piece - other.piece) > step.width + other.width for other in taken
        ):
            taken.append(step)
    return taken


def steps_at(level: Level, spans: list[Span]) -> list[Step | None]:
    """Measure the changes of level across dips; None: too few frames.

    Drift is first taken from either side of each dip, and, once the steps so found are
    taken out, from a wider neighbourhood, where it is known better.

    Parameters
    ----------
    level
        Level of the series; it is left as it is.
    spans
        First and last image_id of each dip.
    """
    pieces = tuple(level.before(last) for _, last in spans)
    work = replace(level, boundaries=pieces)
    # The piece that holds the dip belongs to neither side.
    sides = [
        _sides(work, float(first - PIECE), float(last + PIECE)) for first, last in spans
    ]
    sizes = [0.0] * len(spans)
    for attempt in range(_ATTEMPTS):
        work = level.without(zip(pieces, sizes, strict=True))
        scan = scan_of(work, WIDTHS[1]) or scan_of(work, WIDTHS[0])
        for k, (earlier, later) in enumerate(sides):
            if earlier.stop - earlier.start < _NARROWEST:
                continue
            if attempt and scan is not None:
                rate = float(scan.rate[min(later.start, scan.rate.size - 1)])
            else:
                rate = _rate_within(work, earlier, later)
            difference = _mean(work, work.value, later)
            difference -= _mean(work, work.value, earlier)
            apart = _mean(work, work.position, later)
            apart -= _mean(work, work.position, earlier)
            sizes[k] += difference - rate * apart
    errors = {
        width: _error(work, width)
        for width in {earlier.stop - earlier.start for earlier, _ in sides}
        if width >= _NARROWEST
    }
    return [
        Step(later.start, size, errors[width], width)
        if (width := earlier.stop - earlier.start) in errors
        else None
        for (earlier, later), size in zip(sides, sizes, strict=True)
    ]


def _sides(level: Level, last_before: float, first_after: float) -> tuple[slice, slice]:
    """Return equally many pieces on either side, up to the next boundary."""
    end = int(np.searchsorted(level.position, last_before, side="right"))
    begin = max(level.before(first_after), end)
    lower = max([0, *(piece for piece in level.boundaries if piece < end)])
    upper = min(
        [level.value.size, *(piece for piece in level.boundaries if piece > begin)]
    )
    width = max(min(end - lower, upper - begin, WIDTHS[1]), 0)
    return slice(end - width, end), slice(begin, begin + width)


def _mean(level: Level, values: FloatArray, part: slice) -> float:
    weight = level.weight[part]
    return float(values[part] @ weight / weight.sum())


def _rate_within(level: Level, *sides: slice) -> float:
    """Return the slope per frame common to both sides of a step."""
    shared = power = 0.0
    for side in sides:
        distance = level.position[side] - _mean(level, level.position, side)
        weighted = distance * level.weight[side]
        shared += float(weighted @ level.value[side])
        power += float(weighted @ distance)
    return shared / power if power else 0.0


def _error(level: Level, width: int) -> float:
    """Return the standard error of a difference of means of `width` pieces."""
    scan = scan_of(level, width)
    if scan is not None:
        return float(np.median(scan.sigma))
    # Too short a series to tell: correlated noise may triple what frames tell.
    frames = max(float(np.median(level.weight)), 1)
    single = max(float(np.median(level.floor)), 1e-15)
    return 3 * single * math.sqrt(2 / (width * frames))


def scan_of(level: Level, width: int) -> Scan | None:
    """Compare the means on either side of every piece.

    None: the series is too short, or it has steps wherever one looks.
    """
    n = level.value.size
    if n < _FEWEST_WIDTHS * width:
        return None
    at = np.arange(width, n - width + 1)
    weight = np.concatenate([[0.0], np.cumsum(level.weight)])
    value = np.concatenate([[0.0], np.cumsum(level.value * level.weight)])
    place = np.concatenate([[0.0], np.cumsum(level.position * level.weight)])
    before = weight[at] - weight[at - width]
    after = weight[at + width] - weight[at]
    # Where all pieces of a side are at steps their sums are nothing but rounding.
    there = np.minimum(before, after) >= 1
    at, before, after = at[there], before[there], after[there]

    def step(total: FloatArray) -> FloatArray:
        later = (total[at + width] - total[at]) / after
        earlier = (total[at] - total[at - width]) / before
        difference: FloatArray = later - earlier
        return difference

    apart = step(place)
    rate = np.full(n + 1, np.nan)
    rate[at] = step(value) / apart
    usual = _smooth(rate, width, 12)
    difference = np.full(n + 1, np.nan)
    difference[at] = (rate[at] - usual[at]) * apart
    size = np.abs(difference)
    for piece in level.boundaries:
        size[max(piece - 1, 0) : piece + 2] = np.nan
    if np.isnan(size).all():
        return None
    everywhere = MAD_TO_SIGMA * float(np.nanmedian(size))
    # Noise that comes and goes: where it is loud its own scale counts.
    local = MAD_TO_SIGMA * _smooth(size, width, 48)
    # Correlation only adds to what single frames make uncertain.
    spread = np.concatenate([[0.0], np.cumsum(level.weight * level.floor**2)])
    single = np.full(n + 1, 1e-15)
    single[at] += np.sqrt(
        (spread[at] - spread[at - width]) / before**2
        + (spread[at + width] - spread[at]) / after**2
    )
    sigma = np.maximum(np.maximum(local, everywhere), single)
    return Scan(width, difference, usual, sigma)


def _smooth(values: FloatArray, width: int, reach: int) -> FloatArray:
    """Return the running median over `reach` quarters of a width on either side."""
    stride = max(1, width // 4)
    coarse = filled(running_median(values[::stride], reach))
    wide: FloatArray = np.repeat(coarse, stride)[: values.size]
    return wide
