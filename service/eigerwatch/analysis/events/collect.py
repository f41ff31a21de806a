"""Events out of what was found block by block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.changes import Changes, Dip, find_changes
from eigerwatch.analysis.events.damage import damage_event
from eigerwatch.analysis.events.empty import empty_event
from eigerwatch.analysis.events.gaps import gap_events
from eigerwatch.analysis.events.model import DetectionOptions, Event
from eigerwatch.analysis.events.record import BLOCK, EMPTY, History
from eigerwatch.analysis.events.robust import runs_of
from eigerwatch.analysis.events.spikes import Deviation, joined, spike_event
from eigerwatch.analysis.events.topup import Shared, topup_event

_DAMAGE_JOINED = BLOCK
"""Good frames between damaged ones that are told together."""


def collect(
    history: History, options: DetectionOptions, known: Changes | None = None
) -> tuple[list[Event], Changes]:
    """Return all events, in order of their first frames, and the changes of level.

    Parameters
    ----------
    history
        What was found, block by block.
    options
        Thresholds.
    known
        Changes of level that were found a while ago; None: they are searched.
    """
    gaps = np.concatenate(
        [np.empty((0, 2), np.int64), *(block.gaps for block in history.screened)]
    )
    short = joined(
        [one for block in history.levelled for one in block.deviations],
        options.most_events,
    )
    dips = [_dip(history, one) for one in short if _may_be_topup(one, options)]
    if known is None:
        known = find_changes(history, dips, short, gaps, options)
    found = known.events + gap_events(gaps[:, 0], gaps[:, 1], options.most_events)
    if history.frames.n:
        found += _empty(history, options)
        found += _damaged(history, options)
    found += _short(history, short, dips, known, options)
    return sorted(found, key=lambda event: (event.first, event.kind.value)), known


def _empty(history: History, options: DetectionOptions) -> list[Event]:
    frames = history.frames
    known = [block.usual for block in history.screened]
    level = next((usual.level for usual in known if usual is not None), None)
    empty = frames.states == EMPTY
    if level is not None and known[0] is None:
        # The beam came later: only now is it known what was missing before.
        empty |= frames.totals <= options.empty_fraction * level
    events = []
    for start, stop, n in _merged(runs_of(empty), 0, options.most_events):
        mean = float(frames.totals[start:stop][empty[start:stop]].mean())
        first, last = frames.positions[start], frames.positions[stop - 1]
        events.append(empty_event(int(first), int(last), n, mean, level or 0.0))
    return events


def _damaged(history: History, options: DetectionOptions) -> list[Event]:
    positions = history.frames.positions
    runs = np.concatenate([block.damaged for block in history.screened])
    reasons = [
        (int(block.damaged[0, 0]), block.evidence)
        for block in history.screened
        if block.evidence is not None and len(block.damaged)
    ]
    events = []
    for start, stop, n in _merged(runs, _DAMAGE_JOINED, options.most_events):
        why = next(evidence for at, evidence in reasons if at >= start)
        first, last = int(positions[start]), int(positions[stop - 1])
        events.append(damage_event(first, last, n, why, options))
    return events


def _merged(
    runs: npt.NDArray[np.intp], apart: int, most: int
) -> list[tuple[int, int, int]]:
    """Return start, stop and frames of runs, joined where at most `apart` apart.

    Where there are more than `most`, those farther apart are joined too.
    """
    if not len(runs):
        return []
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    while True:
        wide = runs[1:, 0] - np.maximum.accumulate(runs[:, 1])[:-1] > apart
        start = np.flatnonzero(np.concatenate([[True], wide]))
        if start.size <= most:
            break
        apart = max(1, 2 * apart)
    frames = np.add.reduceat(runs[:, 1] - runs[:, 0], start)
    stops = np.maximum.reduceat(runs[:, 1], start)
    return list(
        zip(runs[start, 0].tolist(), stops.tolist(), frames.tolist(), strict=True)
    )


def _may_be_topup(one: Deviation, options: DetectionOptions) -> bool:
    shallow, deep = options.topup_dip
    return -deep <= one.size <= -shallow


def _dip(history: History, one: Deviation) -> Dip:
    """Return a dip with its frames and the regions that went along."""
    positions = history.frames.positions
    dipped = int(history.frames.dipped[one.peak])
    regions = history.screened[one.peak // BLOCK].regions
    return Dip(
        deviation=one,
        first=int(positions[one.start]),
        last=int(positions[one.stop - 1]),
        shared=Shared(dipped, regions) if dipped >= 0 else Shared(0, 0),
    )


def _short(
    history: History,
    short: list[Deviation],
    dips: list[Dip],
    known: Changes,
    options: DetectionOptions,
) -> list[Event]:
    """Return top-ups and spikes."""
    positions = history.frames.positions
    dip_at = {dip.deviation.start: dip for dip in dips}
    events = []
    for one in short:
        dip = dip_at.get(one.start)
        if dip is not None and known.is_topup(dip, options):
            step = known.steps.get(one.start)
            events.append(
                topup_event(one, dip.first, dip.last, dip.shared, step, options)
            )
            continue
        first, last = int(positions[one.start]), int(positions[one.stop - 1])
        events.append(spike_event(one, first, last, _remark(dip), options))
    return events


def _remark(dip: Dip | None) -> str:
    """Return what keeps a dip from being a top-up."""
    if dip is None:
        return ""
    if not dip.shared.common:
        return f", in {dip.shared.dipped} of {dip.shared.regions} modules only"
    return ", and the mean after it is not that of a top-up"
