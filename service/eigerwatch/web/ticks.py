"""Ticks: built once per view and content, shared by everyone who looks at it."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from eigerwatch.analysis import decimate
from eigerwatch.analysis.exclusion import Interval, mask_of
from eigerwatch.analysis.moving import MovingAverage, moving_average
from eigerwatch.analysis.shot_noise import shot_noise
from eigerwatch.analysis.statistics import Description, describe, finite_or_none
from eigerwatch.framecache import FrameCache
from eigerwatch.frames import Region, Scope, SeriesFrames
from eigerwatch.store.info import SeriesInfo
from eigerwatch.web import tick
from eigerwatch.web.assessing import WHOLE, Answer, Assessor, summary
from eigerwatch.web.regional import region_names
from eigerwatch.web.source import RECEIVING_STATES, Judgement
from eigerwatch.web.window import Windows

PROTOCOL = 1
MAX_POINTS = 4000
POINTS = (500, 700, 1000, 1400, 2000, 2800, MAX_POINTS)
"""Numbers of points that are drawn, smallest first: few, so that clients share them."""
MAX_HOLES = 400
"""Runs of frames without data listed in one tick; more are joined."""
MAX_LATE = 100
"""Runs of frames that came late listed in one tick; more are joined."""
LONG_SERIES = 200_000
"""Beyond so many frames, live statistics are renewed once a second only."""
KEPT_TICKS = 64
Unit = Literal["normalised", "counts"]
"""Of the values to draw: parts of their mean, or counts per frame."""


@dataclass(frozen=True, slots=True)
class View:
    """What a client looks at; equal views share their ticks."""

    series: str
    channel: str
    start: int | None = None
    """First frame shown; None: the series' first."""
    stop: int | None = None
    """First frame not shown; None: the newest is shown."""
    points: int = MAX_POINTS
    scope: Scope = WHOLE
    """Frames of the statistics table."""
    region: Region | None = None
    """Whose counts are drawn and described; None: those of the whole image."""
    unit: Unit = "normalised"


def points_for(px: int) -> int:
    """Return the points for a plot `px` wide: few different ones, two per pixel."""
    return next((points for points in POINTS if 2 * px <= points), MAX_POINTS)


@dataclass(frozen=True, slots=True)
class Tick:
    """One built tick."""

    seq: int
    data: bytes
    content: Hashable
    """Equal for ticks that say the same."""
    basis: Hashable
    """Equal where a new tick would say the same, unless frames are coming."""


class TickBuilder:
    """Builds ticks and remembers the newest of every view; thread-safe."""

    def __init__(self, frames: FrameCache, assessor: Assessor) -> None:
        self.epoch = str(uuid4())
        """New with every start of the web process: sequence numbers restart."""
        self.frames = frames
        self.assessor = assessor
        self._lock = threading.Lock()
        self._seq = 0
        self._ticks: OrderedDict[View, Tick] = OrderedDict()
        self._described: OrderedDict[Hashable, _Described] = OrderedDict()
        self._windows = Windows()

    def build(
        self, view: View, info: SeriesInfo, judgement: Judgement, n_events: int = 0
    ) -> Tick:
        """Return the view's tick; the one built before where nothing changed."""
        live = judgement.state in RECEIVING_STATES
        answer = self.assessor.assess_soon(info, view.channel)
        basis = (
            info.ledgers.get(view.channel), info.started_ms, info.last_write_ms,
            answer and answer.made_ms,
            judgement, info.state, info.number_of_images, n_events,
        )  # fmt: skip
        with self._lock:
            known = self._ticks.get(view)
            if known is not None and known.basis == basis and not live:
                self._ticks.move_to_end(view)
                return known  # its frames might have to be read anew
        frames = self.frames.get(info, view.channel)
        drawn = frames
        if view.region is not None:
            drawn = self.frames.get(info, view.channel, view.region)
        left_out = answer.assessment.excluded.intervals if answer else ()
        with self._lock:
            version = _version(frames), _version(drawn)
            total = self._describe(frames, WHOLE, live, left_out)
            whole = self._describe(drawn, WHOLE, live, left_out)
            scoped = self._describe(drawn, view.scope, live, left_out)
            content = (
                version, total.version, whole.version, scoped.version, id(answer),
                judgement, info.state, info.number_of_images, n_events,
            )  # fmt: skip
            known = self._ticks.pop(view, None)
            if known is None or known.content != content:
                self._seq += 1
                recent = None
                if live:
                    recent = self._windows.figures(frames, info.frame_time_s, left_out)
                data = _encode(
                    self.epoch, self._seq, view, info, judgement, n_events,
                    drawn, total, whole.description, scoped.description, answer,
                    recent,
                )  # fmt: skip
                known = Tick(self._seq, data, content, basis)
            elif known.basis != basis:
                known = replace(known, basis=basis)
            self._ticks[view] = known
            while len(self._ticks) > KEPT_TICKS:
                self._ticks.popitem(last=False)
            return known

    def describe(
        self,
        info: SeriesInfo,
        channel: str,
        scope: Scope,
        region: Region | None = None,
    ) -> Description:
        """Return exact statistics of a scope, without the frames that do not count."""
        selection = self.frames.get(info, channel, region).select(scope)
        left_out = self.assessor.excluded(info, channel, selection.positions).mask
        return describe(selection.totals[~left_out], selection.positions[~left_out])

    def _describe(
        self,
        frames: SeriesFrames,
        scope: Scope,
        live: bool,
        left_out: tuple[Interval, ...],
    ) -> _Described:
        key = (frames.series, frames.channel, frames.region, scope)
        known = self._described.pop(key, None)
        now_s = time.monotonic()
        fresh = known is not None and (
            known.version == (_version(frames), left_out)
            or (live and frames.n > LONG_SERIES and now_s - known.made_s < 1)
        )
        if known is None or not fresh:
            version = (_version(frames), left_out)
            selection = frames.select(scope)
            used = ~mask_of(selection.positions, left_out)
            totals, positions = selection.totals[used], selection.positions[used]
            lowest = int(positions[totals.argmin()]) if totals.size else None
            known = _Described(version, now_s, describe(totals, positions), lowest)
        self._described[key] = known
        while len(self._described) > 2 * KEPT_TICKS:
            self._described.popitem(last=False)
        return known


@dataclass(frozen=True, slots=True)
class _Described:
    version: Hashable
    made_s: float
    description: Description
    lowest: int | None
    """Frame with the smallest sum; None: there is none."""


def _version(frames: SeriesFrames) -> tuple[int, int]:
    """Return what no other content has: versions count anew where all is read anew."""
    return frames.number, frames.version


def _encode(
    epoch: str,
    seq: int,
    view: View,
    info: SeriesInfo,
    judgement: Judgement,
    n_events: int,
    frames: SeriesFrames,
    total: _Described,
    whole: Description,
    scoped: Description,
    answer: Answer | None,
    recent: dict[str, Any] | None,
) -> bytes:
    n = frames.n  # once: frames keep coming
    start = min(view.start or 0, n)
    stop = n if view.stop is None else min(view.stop, n)
    totals, stored = frames.span(start, stop)
    shown = decimate.envelope(start, totals, stored, view.points)
    average = _average(start, totals, stored, answer)
    mean = whole.mean if whole.raw.count and whole.mean else 1.0
    unit = mean if view.unit == "counts" else 1.0
    centre = float(np.nan_to_num(whole.centre))
    slope = unit * whole.slope / mean
    raw = unit * (shown.values.astype(np.float64) / mean)
    trend = slope * (shown.frames - centre)
    smooth = unit * average.values / mean - slope * (average.positions - centre)
    newest, newest_ns = frames.newest()
    first, length, rejected = frames.holes(start, stop)
    holes = _join(first, length, (length - rejected, rejected), MAX_HOLES)
    first, length = frames.late(start, stop)
    late = _join(first, length, (length,), MAX_LATE)
    ledger = frames.ledger
    header: dict[str, Any] = {
        "v": PROTOCOL,
        "epoch": epoch,
        "seq": seq,
        "series": view.series,
        "channel": view.channel,
        "source": judgement.state,
        "source_text": judgement.text,
        "kind": info.source,
        "n": n,
        "n_total": info.number_of_images,
        "from": start,
        "to": stop,
        "bin": shown.bin_width,
        "shortest_gap": shown.shortest_gap,
        "mean": finite_or_none(whole.mean),
        "slope": finite_or_none(whole.slope),
        "x_mid": finite_or_none(whole.centre),
        "region": None if view.region is None else view.region.name,
        "regions": region_names(info),
        "unit": view.unit,
        "fit": [unit + slope * (at - centre) for at in (start, stop - 1)]
        if whole.raw.count and whole.mean
        else None,
        "averaged": average.width,
        "sigma": finite_or_none(unit * whole.detrended.std / mean),
        "frame_time_s": info.frame_time_s,
        "newest": newest,
        "t_newest": newest_ns / 1e6 or None,
        "t_oldest_new": frames.oldest_new_ns / 1e6 or None,
        "t_sent": time.time() * 1000,
        "rate_hz": frames.rate_hz() if judgement.state in RECEIVING_STATES else None,
        "ledger": ledger_dict(ledger) if ledger else None,
        "missing": ledger.missing if ledger else 0,
        "ev_seq": n_events,
        "stats": statistics(scoped, view.scope),
        "recent": recent,
        "assessment": None if answer is None else summary(answer),
        "tiles": {
            **_tiles(total.description),
            "lowest": total.lowest,
        },
        "quartiles": {
            name: [finite_or_none(unit * (q / mean)) for q in (t.q25, t.median, t.q75)]
            for name, t in (("raw", whole.raw), ("det", whole.detrended))
        },
    }
    blocks: dict[str, np.ndarray] = {
        "frame": shown.frames,
        "raw": raw.astype(np.float32),
        "det": (raw - trend).astype(np.float32),
        "alone": shown.alone.astype(np.uint8),
        "average_frame": average.frames,
        "average": smooth.astype(np.float32),
        "hole_first": holes[0],
        "hole_len": holes[1],
        "hole_missing": holes[2],
        "hole_rejected": holes[3],
        "late_first": late[0],
        "late_len": late[1],
        "late_frames": late[2],
    }
    return tick.encode(header, blocks)


def _average(
    start: int, totals: np.ndarray, stored: np.ndarray, answer: Answer | None
) -> MovingAverage:
    counts = stored
    if answer is not None and answer.assessment.excluded.intervals:
        frames = np.arange(start, start + stored.size)
        counts = stored & ~mask_of(frames, answer.assessment.excluded.intervals)
    return moving_average(start, totals, counts)


def _tiles(total: Description) -> dict[str, float | None]:
    lowest = 100 * total.raw.minimum / total.mean if total.mean else math.nan
    return {
        "cv_percent": finite_or_none(total.detrended.cv_percent),
        **shot_noise(total.detrended).as_dict(),
        "mean": finite_or_none(total.mean),
        "drift_percent": finite_or_none(total.drift_percent),
        "lowest_percent": finite_or_none(lowest),
    }


def statistics(description: Description, scope: Scope) -> dict[str, Any]:
    """Return the origin's table of a scope, rows in its order."""
    return {
        "scope": scope.kind,
        "last": scope.last,
        "raw": list(description.raw.as_dict().values()),
        "det": list(description.detrended.as_dict().values()),
        "first": finite_or_none(description.first),
        "newest": finite_or_none(description.last),
        "shot": shot_noise(description.detrended).as_dict(),
    }


def ledger_dict(ledger: Any) -> dict[str, int]:
    """Return the counts that add up to the highest frame number + 1, and late ones."""
    names = ("stored", "rejected", "outstanding", "missing", "late")
    return {name: getattr(ledger, name) for name in names}


def _join(
    first: np.ndarray, length: np.ndarray, counts: Sequence[np.ndarray], most: int
) -> list[np.ndarray]:
    """Join neighbouring runs until few enough are left to draw.

    Joined runs span the frames between them, too: the counts are added up apart.

    Parameters
    ----------
    first, length
        (r,) where each run begins, and the frames that it spans.
    counts
        (r,) each: frames of a kind in each run.
    most
        Runs that may be left.

    Returns
    -------
    First, length and counts of the runs that are left, uint32 each.
    """
    width = 1
    while first.size > most:
        width *= 2
        starts = np.flatnonzero(np.diff(first // width, prepend=-1))
        last = np.append(starts[1:], first.size) - 1
        length = first[last] + length[last] - first[starts]
        counts = [np.add.reduceat(count, starts) for count in counts]
        first = first[starts]
    return [column.astype(np.uint32) for column in (first, length, *counts)]


def clipped(view: View, n: int) -> View:
    """Return `view` with a range inside the n frames that there are."""
    if view.start is None and view.stop is None:
        return view
    start = min(max(0, view.start or 0), max(0, n - 1))
    stop = view.stop if view.stop is None else max(start + 1, min(view.stop, n))
    return replace(view, start=start, stop=stop)
