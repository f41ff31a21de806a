"""Top-up shots: a dip common to the whole detector, then a step up.

And when the next one is due, learned from those before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from eigerwatch.analysis.events.spikes import Deviation
from eigerwatch.analysis.events.steps import Step
from eigerwatch.analysis.statistics import finite_or_none

_COMMON = 0.8
"""Part of the regions that a dip must concern."""
_COMPATIBLE = 3.5
"""Standard errors by which the step may lie outside the range of top-ups."""


@dataclass(frozen=True, slots=True)
class Shared:
    """How many regions a dip is seen in."""

    dipped: int
    regions: int
    """0: not known."""

    @property
    def common(self) -> bool:
        """True where nothing speaks against a dip of the whole beam."""
        return self.dipped >= _COMMON * self.regions


def is_topup(
    dip: Deviation, shared: Shared, step: Step | None, options: DetectionOptions
) -> bool:
    """Tell whether a dip is a top-up's: its depth, its regions and its step fit."""
    shallow, deep = options.topup_dip
    if not (-deep <= dip.size <= -shallow and shared.common):
        return False
    if step is None:
        return True
    low, high = options.topup_step
    error = _COMPATIBLE * step.error
    return low - error <= step.size <= high + error


def topup_event(
    dip: Deviation,
    first: int,
    last: int,
    shared: Shared,
    step: Step | None,
    options: DetectionOptions,
) -> Event:
    """Return the event of a top-up whose dip was seen."""
    who = "The whole image"
    if shared.regions:
        who = f"All {shared.regions} modules"
        if shared.dipped < shared.regions:
            who = f"{shared.dipped} of {shared.regions} modules"
    sure = confidence(dip.z, options.spike_sigma)
    if step is None:
        then = "; too few frames to see the mean rise"
        sure *= 0.5
    else:
        rose = 0.5 * math.erfc(-math.copysign(step.z, step.size) / math.sqrt(2))
        sure *= rose
        if rose > 0.98:
            then = f", then the mean rose by {percent(step.relative)}"
        else:
            then = "; that the mean rose is within the noise"
    return Event(
        EventKind.TOPUP, first, last, dip.frames, dip.size, "relative", sure,
        f"{who} dipped by {percent(dip.size)} for {counted(dip.frames)}{then}.",
        step=None if step is None else step.relative,
    )  # fmt: skip


def unseen_topup_event(
    first: int, last: int, step: Step, options: DetectionOptions
) -> Event:
    """Return the event of a top-up whose dip fell into missing frames first..last."""
    missing = last - first + 1
    return Event(
        EventKind.TOPUP, first, last, missing, math.nan, "relative",
        0.5 * confidence(step.z, options.step_sigma),
        f"The mean rose by {percent(step.relative)} across {counted(missing)} missing:"
        " a top-up whose dip was not recorded.",
        step=step.relative,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TopupSchedule:
    """When top-ups come, learned from those seen; times are of the caller's clock."""

    n: int
    """Top-ups seen."""
    period_s: float
    """NaN with fewer than two."""
    spread_s: float
    """Standard deviation of a top-up about its time; NaN with fewer than three."""
    next_s: float
    """When the next one is due after `last_s`; NaN with fewer than two."""
    next_spread_s: float
    """Standard error of `next_s`; NaN with fewer than three."""
    last_s: float
    """The last one seen; NaN without any."""
    reason: str
    """What it rests on, or what is missing."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON: None instead of NaN."""
        return {
            "n": self.n,
            "period_s": finite_or_none(self.period_s),
            "spread_s": finite_or_none(self.spread_s),
            "next_s": finite_or_none(self.next_s),
            "next_spread_s": finite_or_none(self.next_spread_s),
            "last_s": finite_or_none(self.last_s),
            "reason": self.reason,
        }


def topup_schedule(times_s: Sequence[float] | npt.NDArray[np.float64]) -> TopupSchedule:
    """Learn the period of top-ups by a straight line through their times.

    Some may have been missed: intervals are taken for the nearest multiples of the
    shortest usual one. Times need not be of one series, but of one clock.
    """
    times = np.asarray(times_s, np.float64)
    times = np.unique(times[np.isfinite(times)])
    nan = math.nan
    if times.size < 2:
        last = float(times[-1]) if times.size else nan
        reason = f"not enough top-ups (n = {times.size})"
        return TopupSchedule(int(times.size), nan, nan, nan, nan, last, reason)
    intervals = np.diff(times)
    shortest = intervals[intervals <= 1.5 * intervals.min()].mean()
    steps = np.maximum(np.rint(intervals / shortest), 1)
    number = np.concatenate([[0.0], np.cumsum(steps)])
    centre = number.mean()
    power = float((number - centre) @ (number - centre))
    period = float((number - centre) @ (times - times.mean())) / power
    expected = times.mean() + period * (number - centre)
    coming = number[-1] + 1
    due = float(times.mean() + period * (coming - centre))
    spread = error = nan
    if times.size > 2:
        residual = times - expected
        spread = math.sqrt(float(residual @ residual) / (times.size - 2))
        error = spread * math.sqrt(1 + 1 / times.size + (coming - centre) ** 2 / power)
    missed = int(number[-1]) + 1 - times.size
    reason = f"{times.size} top-ups" + (
        f", {missed} between not seen" if missed else ""
    )
    return TopupSchedule(
        int(times.size), period, spread, due, error, float(times[-1]), reason
    )
