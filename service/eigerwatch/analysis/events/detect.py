"""Detection, live and of recorded series: one way for both.

Frames are judged in blocks of `BLOCK` stored frames: first each by itself, then by
its neighbours, when the next block is there. Blocks are counted from the first frame
of the series, so it does not matter in which portions frames come. Steps and drift
are searched in the means of all blocks. At any time the events are those of the
frames so far, taken as a whole series.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eigerwatch.analysis.events.changes import Changes
from eigerwatch.analysis.events.collect import collect
from eigerwatch.analysis.events.model import DetectionOptions, Event
from eigerwatch.analysis.events.record import (
    BLOCK,
    CLEAN,
    Frames,
    History,
    Levelled,
    Screened,
)
from eigerwatch.analysis.events.screen import screen
from eigerwatch.analysis.events.spikes import CONTEXT, PIECE, deviations, marked
from eigerwatch.analysis.measured import Measured

_SEARCHES = 50
"""Part of a long series after which steps are searched again for a live display."""


class Detector:
    """Watches one channel of a series, whose filter, mask and regions are the same.

    `feed` takes the frames as they come, `events` tells what happened so far. Events
    of the last two blocks may change with the frames to come; steps, drift and the
    confidence of top-ups rest on the noise of the whole series and may always change.
    """

    def __init__(self, options: DetectionOptions | None = None) -> None:
        self._options = DetectionOptions() if options is None else options
        self._frames = Frames()
        self._screened: list[Screened] = []
        self._levelled: list[Levelled] = []
        self._pending: Measured | None = None
        self._frame_time_s: float | None = None
        self._told: tuple[int, list[Event]] = (0, [])
        self._searched: tuple[int, Changes | None] = (0, None)

    @property
    def n(self) -> int:
        """Number of frames fed."""
        return self._frames.n + (self._pending.n if self._pending else 0)

    @property
    def last(self) -> int | None:
        """image_id of the last frame fed; None: no frame so far."""
        if self._pending is not None and self._pending.n:
            return int(self._pending.positions[-1])
        return int(self._frames.positions[-1]) if self._frames.n else None

    def feed(self, chunk: Measured) -> None:
        """Take the next frames, any number of them.

        Raises
        ------
        ValueError
            Frames are not in ascending order: late ones need `rewind` first.
        """
        if not chunk.n:
            return
        last = self.last
        if last is not None and chunk.positions[0] <= last:
            raise ValueError(
                f"frame {chunk.positions[0]} after frame {last}: rewind first"
            )
        if np.any(np.diff(chunk.positions) <= 0):
            raise ValueError("frames must be in ascending order")
        if self._frame_time_s is None:
            self._frame_time_s = _frame_time(chunk)
        start = 0
        if self._pending is not None:
            start = min(BLOCK - self._pending.n, chunk.n)
            self._pending = self._pending.joined(chunk.at(slice(0, start)))
            if self._pending.n < BLOCK:
                return
            self._judge(self._pending)
            self._pending = None
        while chunk.n - start >= BLOCK:
            self._judge(chunk.at(slice(start, start + BLOCK)))
            start += BLOCK
        if start < chunk.n:
            # A copy: the caller may use its arrays again.
            self._pending = chunk.at(slice(start, None)).copy()

    def rewind(self, first: int) -> int:
        """Forget what rests on frames from `first` on: some came late or changed.

        Returns
        -------
        int
            image_id from which all stored frames must be fed again; at most `first`.
        """
        last = self.last
        if last is None or first > last:
            return first
        blocks = int(np.searchsorted(self._frames.positions, first)) // BLOCK
        self._pending = None
        self._start_over()
        self._forget(blocks, blocks - 1)
        return min(first, int(self._frames.positions[-1]) + 1) if blocks else 0

    def events(self) -> list[Event]:
        """Return the events so far, in order of their first frames.

        They are those that `detect` finds in the frames fed. It takes some
        milliseconds for 45 000 frames, and grows with their number.
        """
        return self._events(None)

    def recent_events(self, every: int = 746) -> list[Event]:
        """Return events for a live display, at little cost.

        Nothing is done until `every` frames have come since the last time. Steps and
        drift are then those found when the series was up to 2 % shorter.
        """
        told, events = self._told
        if told and self.n - told < every:
            return list(events)
        searched, changes = self._searched
        if self.n - searched >= max(every, self.n // _SEARCHES):
            changes = None
        return self._events(changes)

    def _events(self, known: Changes | None) -> list[Event]:
        blocks, levelled = len(self._screened), len(self._levelled)
        if self._pending is not None:
            self._judge(self._pending)
        while len(self._levelled) < len(self._screened):
            self._level()
        history = History(
            self._frames, self._screened, self._levelled, self._frame_time_s
        )
        found, changes = collect(history, self._options, known)
        self._forget(blocks, levelled)
        if known is None:
            self._searched = (self.n, changes)
        self._told = (self.n, found)
        return list(found)

    def _start_over(self) -> None:
        """Forget what was told."""
        self._told = (0, [])
        self._searched = (0, None)

    def _judge(self, block: Measured) -> None:
        """Judge the next block by itself, and the one before by its neighbours."""
        frames = self._frames
        previous = int(frames.positions[-1]) if frames.n else None
        usual = self._screened[-1].usual if self._screened else None
        found, states, dipped = screen(block, usual, frames.n, previous, self._options)
        frames.append(block.positions, block.totals.astype(np.float64), states, dipped)
        self._screened.append(found)
        if len(self._levelled) < len(self._screened) - 1:
            self._level()

    def _level(self) -> None:
        """Judge the first block that is not yet, by its neighbours."""
        frames = self._frames
        start = len(self._levelled) * BLOCK
        stop = min(start + BLOCK, frames.n)
        lower, upper = max(0, start - CONTEXT), min(stop + CONTEXT, frames.n)
        values = frames.totals[lower:upper].copy()
        values[frames.states[lower:upper] != CLEAN] = np.nan
        scale = self._levelled[-1].scale if self._levelled else None
        found, scale = deviations(
            values, start - lower, stop - lower, lower, scale, self._options.spike_sigma
        )
        block = values[start - lower : stop - lower]
        steady = ~np.isnan(block) & ~marked(found, start, stop)
        places = frames.positions[start:stop].astype(np.float64)
        pieces = np.arange(0, stop - start, PIECE)

        def sums(column: Any) -> Any:
            return np.add.reduceat(np.where(steady, column, 0.0), pieces)

        self._levelled.append(
            Levelled(found, scale, sums(block), sums(1.0), sums(places))
        )

    def _forget(self, blocks: int, levelled: int) -> None:
        """Keep the first `blocks` only, the first `levelled` of them with levels."""
        del self._screened[blocks:]
        del self._levelled[max(levelled, 0) :]
        self._frames.n = min(self._frames.n, blocks * BLOCK)


def detect(measured: Measured, options: DetectionOptions | None = None) -> list[Event]:
    """Return the events of a series in order of their first frames.

    The same as those of a `Detector` that was fed these frames in any portions.
    """
    detector = Detector(options)
    detector.feed(measured)
    return detector.events()


def _frame_time(chunk: Measured) -> float | None:
    """Return the time from frame to frame [s]; None: not told."""
    if chunk.frame_time_s is not None and chunk.frame_time_s > 0:
        return chunk.frame_time_s
    return None
