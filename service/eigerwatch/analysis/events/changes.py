"""Changes of level of a whole series: steps, those of top-ups included, and drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.drift import drift_event, find_hinges
from eigerwatch.analysis.events.model import DetectionOptions, Event
from eigerwatch.analysis.events.record import CLEAN, Frames, History
from eigerwatch.analysis.events.spikes import Deviation
from eigerwatch.analysis.events.steps import Level, Step, find_steps, steps_at
from eigerwatch.analysis.events.topup import Shared, is_topup, unseen_topup_event
from eigerwatch.analysis.events.where import place_step, ramps, step_event


@dataclass(frozen=True, slots=True)
class Dip:
    """A deviation that is as deep as that of a top-up."""

    deviation: Deviation
    first: int
    """image_id"""
    last: int
    """image_id, inclusive"""
    shared: Shared


@dataclass(frozen=True, slots=True)
class Changes:
    """What was found of a series up to some frame."""

    steps: dict[int, Step | None]
    """Change of level across each dip, by the index of its first frame."""
    events: list[Event]
    """Steps, changes of drift, and top-ups whose dips were not recorded."""

    def is_topup(self, dip: Dip, options: DetectionOptions) -> bool:
        """Tell whether a dip is a top-up's, by all that is known."""
        step = self.steps.get(dip.deviation.start)
        return is_topup(dip.deviation, dip.shared, step, options)


def find_changes(
    history: History,
    dips: list[Dip],
    short: list[Deviation],
    gaps: npt.NDArray[np.int64],
    options: DetectionOptions,
) -> Changes:
    """Search the changes of level.

    Parameters
    ----------
    history
        What was found, block by block.
    dips
        Where there may have been top-ups.
    short
        All short deviations, dips included.
    gaps
        (g, 2) image_id before and after each gap.
    options
        Thresholds.
    """
    level = _level(history)
    if level is None:
        return Changes({}, [])
    across = steps_at(level, [(dip.first, dip.last) for dip in dips])
    starts = [dip.deviation.start for dip in dips]
    changes = Changes(dict(zip(starts, across, strict=True)), [])
    topups = [(dip.first, dip.last) for dip in dips if changes.is_topup(dip, options)]
    steps, rest = find_steps(level, topups, options)
    positions, totals = history.frames.positions, history.frames.totals
    steady = _steady(history.frames, short) if steps else np.empty(0, np.bool_)
    placed: list[tuple[int, Step]] = []
    low, high = options.topup_step
    for step in steps:
        place = place_step(positions, totals, steady, gaps, level, step)
        if place.gap is not None and low <= step.relative <= high:
            changes.events.append(unseen_topup_event(*place.gap, step, options))
        else:
            placed.append((place.frame, step))
    changes.events.extend(step_event(at, ramp, options) for at, ramp in ramps(placed))
    for hinge in find_hinges(rest, options):
        at = min(int(np.searchsorted(positions, hinge.position)), positions.size - 1)
        frame = int(positions[at])
        changes.events.append(drift_event(hinge, frame, history.frame_time_s, options))
    return changes


def _level(history: History) -> Level | None:
    """Return the level of the series; None: nothing to say."""
    blocks = history.levelled
    if not blocks:
        return None
    counts = np.concatenate([block.counts for block in blocks])
    known = counts > 0
    if not known.any():
        return None
    sums = np.concatenate([block.sums for block in blocks])[known]
    places = np.concatenate([block.places for block in blocks])[known]
    weight = counts[known]
    value = sums / weight
    # Before the first beam frames are not known to be empty.
    lit = value > 0
    if not lit.any():
        return None
    scales = [block.scale or 0.0 for block in blocks]
    scale = np.repeat(scales, [block.counts.size for block in blocks])[known]
    if not scale.any():
        return None
    value, places, weight, scale = value[lit], places[lit], weight[lit], scale[lit]
    return Level(
        value=np.log(value / float(np.median(value))),
        position=places / weight,
        weight=weight,
        floor=np.maximum(scale, value**-0.5),
    )


def _steady(frames: Frames, short: list[Deviation]) -> npt.NDArray[np.bool_]:
    """Return (n,) true for frames that do not stand out."""
    steady: npt.NDArray[np.bool_] = frames.states == CLEAN
    for one in short:
        steady[one.start : one.stop] = False
    return steady
