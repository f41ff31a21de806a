"""The frames of the series being looked at, kept in memory and grown as they come."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from eigerwatch.model import FRAME_RECORD, FrameFlag
from eigerwatch.store.info import Ledger, SeriesInfo

READ_FRAMES = 50_000
"""Rows read from the store at a time: 3.2 MB."""
READ_REGION_FRAMES = 10_000
"""The same where all regions' rows are read to find one: 16 bytes each."""
NO_FRAME = 2**63 - 1
_NUMBERS = itertools.count()
KEPT_CHANGES = 1000
"""Changes of the content that are remembered; who missed more begins anew."""
HOLE_BLOCK = 4096
"""Frames re-read at a time where late ones may have filled a hole."""
RATE_WINDOW_NS = 2_000_000_000
"""Arrival times over which the frame rate is averaged [ns]."""

_COLUMNS = {
    name: FRAME_RECORD[name]
    for name in (
        *("total", "kept", "sentinel", "flags", "settings"),
        *("start_ns", "received_ns"),
    )
}


class RowReader(Protocol):
    """The part of `eigerwatch.store.read.Reader` that is needed here."""

    def rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """Return FRAME_RECORDs of [start, stop), clipped; not stored: all zero."""
        ...

    def region_rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """Return (n, regions) of REGION_ROW of [start, stop), clipped, as `rows`."""
        ...

    def rejected(self, key: str, channel: str) -> dict[int, str]:
        """Return the rejected frames and why."""
        ...


@dataclass(frozen=True, slots=True)
class Region:
    """One region of a series' images, by its name in all settings versions."""

    name: str
    columns: tuple[tuple[int, int], ...]
    """(settings version, column of the region rows); other versions lack it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which frames a statistic is about."""

    kind: Literal["whole", "frames", "seconds", "range"] = "whole"
    last: float = 0.0
    """Number of newest frames, or seconds before the newest frame."""
    start: int = 0
    """First frame of a range."""
    stop: int | None = None
    """First frame after a range; None: up to the newest."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The stored frames of a scope."""

    positions: np.ndarray
    """int64 (n,), frame numbers."""
    totals: np.ndarray
    """uint64 (n,) [counts]."""


class SeriesFrames:
    """Totals, flags and times of one channel of one series; thread-safe.

    Parameters
    ----------
    region
        Whose counts stand for the frames' totals; None: all pixels that count.
    """

    def __init__(
        self,
        reader: RowReader,
        series: str,
        channel: str,
        region: Region | None = None,
    ) -> None:
        self.series = series
        self.channel = channel
        self.region = region
        self.number = next(_NUMBERS)
        """Unlike that of any other, also of the same series read anew."""
        self.settings: int | None = None
        """Settings version of the newest frame; None: no frame so far."""
        self.settings_start = 0
        """First frame from which on all have it: only these can be compared."""
        self.version = 0
        """Grows with every change of the content."""
        self.ledger: Ledger | None = None
        self.oldest_new_ns = 0
        """Arrival of the first frame that the last change brought [ns]."""
        self._reader = reader
        self._lock = threading.Lock()
        self._n = 0
        self._data = _no_data()
        self._rejected: np.ndarray = np.zeros(0, np.int64)
        self._life = (0, 0)
        """When the series began and was last written to [ms], as last read."""
        self._changes: deque[int] = deque(maxlen=KEPT_CHANGES)
        self._pending = NO_FRAME
        """First frame that a reading which failed half-way has changed."""

    def refresh(self, info: SeriesInfo) -> None:
        """Read what is new according to `info`, late frames included."""
        ledger = info.ledgers.get(self.channel)
        if ledger is None:
            return
        with self._lock:
            life = (info.started_ms or 0, info.last_write_ms or 0)
            if ledger == self.ledger or (
                life[0] == self._life[0] and life < self._life
            ):
                return  # nothing new, or what was read before something newer
            n = ledger.highest + 1
            fewer = self.ledger is not None and ledger.stored < self.ledger.stored
            if n < self._n or fewer:  # the series was forgotten and written anew
                self._n = 0
                self._data = _no_data()
                self._rejected, self.ledger = np.zeros(0, np.int64), None
                self.settings, self.settings_start = None, 0
            first_new = self._n
            self._pending = min(self._pending, first_new)
            self._read(self._n, n)
            self._fill_holes(ledger.stored)
            if ledger.rejected != (self.ledger.rejected if self.ledger else 0):
                rejected = self._reader.rejected(self.series, self.channel)
                self._rejected = np.array(sorted(rejected), np.int64)
            arrived = self._data["received_ns"][first_new : self._n]
            arrived = arrived[arrived > 0]
            if arrived.size:
                self.oldest_new_ns = int(arrived[0])
            self._find_settings(self._pending)
            self.ledger, self._life = ledger, life
            self._changes.append(self._pending)
            self._pending = NO_FRAME
            self.version += 1

    def _find_settings(self, start: int) -> None:
        """Look which settings the newest frames have, where frames changed."""
        stored = np.flatnonzero(self._stored(start, self._n)) + start
        if not stored.size:
            return
        newest = int(self._data["settings"][stored[-1]])
        same = self._data["settings"][stored] == self.settings
        if newest == self.settings and same.all():
            return
        stored = np.flatnonzero(self._stored(0, self._n))
        self.settings = int(self._data["settings"][stored[-1]])
        others = stored[self._data["settings"][stored] != self.settings]
        self.settings_start = int(others[-1]) + 1 if others.size else 0

    def changed_since(self, version: int) -> tuple[int, int]:
        """Return the version now, and the first frame that changed since another."""
        with self._lock:
            missed = self.version - version
            if missed > len(self._changes):
                return self.version, 0
            latest = list(self._changes)[len(self._changes) - missed :]
            return self.version, min(latest, default=self._n)

    @property
    def n(self) -> int:
        """Frames known, holes included: the highest frame number + 1."""
        return self._n

    def bounds(self, scope: Scope) -> tuple[int, int]:
        """Return first frame and first frame after a scope.

        Frames counted with other settings than the newest are in none: their sums
        are others.
        """
        with self._lock:
            return self._bounds(scope)

    def select(self, scope: Scope) -> Selection:
        """Return the stored frames of `scope`, copied."""
        with self._lock:
            start, stop = self._bounds(scope)
            positions = np.flatnonzero(self._counted(start, stop)) + start
            return Selection(positions, self._data["total"][positions])

    def _bounds(self, scope: Scope) -> tuple[int, int]:
        start, stop = self._range(scope)
        return min(max(start, self.settings_start), self._n), stop

    def _range(self, scope: Scope) -> tuple[int, int]:
        start, stop = 0, self._n
        if scope.kind == "frames":
            start = max(0, self._n - int(scope.last))
        elif scope.kind == "range":
            start = min(max(0, scope.start), self._n)
            stop = self._n if scope.stop is None else min(scope.stop, self._n)
        elif scope.kind == "seconds":
            stored = np.flatnonzero(self._stored(0, self._n))
            times = self._data["start_ns"][stored]
            if times.size:
                recent = times >= times.max() - round(scope.last * 1e9)
                start = int(stored[np.argmax(recent)])
        return start, stop

    def records(self, start: int, stop: int) -> np.ndarray:
        """Return what is kept of the FRAME_RECORDs of [start, stop), else zero."""
        with self._lock:
            stop = min(stop, self._n)
            start = min(start, stop)
            found = np.zeros(stop - start, FRAME_RECORD)
            for name in _COLUMNS:
                found[name] = self._data[name][start:stop]
            found["flags"][~self._stored(start, stop)] = 0
            return found

    def span(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return totals (uint64) and stored (bool) of the frames [start, stop).

        Frames that were counted without the region count as not stored here.
        """
        with self._lock:
            stop = min(stop, self._n)
            start = min(start, stop)
            return self._data["total"][start:stop].copy(), self._counted(start, stop)

    def holes(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return runs of frames without data in [start, stop): first, length, rejected.

        Newest frames that are still outstanding are no holes.
        """
        with self._lock:
            stop = min(stop, self._n)
            hole = ~self._stored(start, stop)
            waiting = self._outstanding()
            hole[waiting[(waiting >= start) & (waiting < stop)] - start] = False
            edges = np.flatnonzero(np.diff(hole, prepend=False, append=False))
            first, after = edges[::2] + start, edges[1::2] + start
            n_rejected = np.searchsorted(self._rejected, after) - np.searchsorted(
                self._rejected, first
            )
            return first, after - first, n_rejected

    def late(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return runs of frames in [start, stop) that came late: first, length."""
        with self._lock:
            stop = min(stop, self._n)
            flags = self._data["flags"][start:stop]
            late = self._stored(start, stop) & ((flags & int(FrameFlag.LATE)) != 0)
            edges = np.flatnonzero(np.diff(late, prepend=False, append=False))
            first, after = edges[::2] + start, edges[1::2] + start
            return first, after - first

    def outstanding(self) -> np.ndarray:
        """Return the numbers of the frames that may still come, ascending."""
        with self._lock:
            return self._outstanding()

    def rejected(self) -> np.ndarray:
        """Return the numbers of the rejected frames, ascending."""
        return self._rejected

    def newest(self) -> tuple[int, int]:
        """Return number and arrival [ns] of the newest stored frame, (-1, 0) if none.

        Frames without a known arrival count with 0.
        """
        with self._lock:
            for stop in range(self._n, 0, -HOLE_BLOCK):
                start = max(0, stop - HOLE_BLOCK)
                stored = np.flatnonzero(self._stored(start, stop))
                if stored.size:
                    last = start + int(stored[-1])
                    return last, int(self._data["received_ns"][last])
        return -1, 0

    def rate_hz(self) -> float | None:
        """Frames per second over the last arrivals; None where unknown."""
        with self._lock:
            start = max(0, self._n - 20_000)
            arrived = self._data["received_ns"][start : self._n]
            arrived = arrived[self._stored(start, self._n) & (arrived > 0)]
        if arrived.size:
            arrived = arrived[arrived >= arrived.max() - RATE_WINDOW_NS]
        if arrived.size < 2:
            return None
        span = int(arrived.max()) - int(arrived.min())
        return (arrived.size - 1) / (span / 1e9) if span > 0 else None

    def _outstanding(self) -> np.ndarray:
        """Return the newest frames without data, as many as the ledger waits for."""
        wanted = self.ledger.outstanding if self.ledger else 0
        found: list[np.ndarray] = [np.zeros(0, np.int64)]
        stop = self._n
        while wanted > 0 and stop > 0:
            start = max(0, stop - HOLE_BLOCK)
            absent = np.flatnonzero(~self._stored(start, stop)) + start
            absent = absent[~np.isin(absent, self._rejected)][-wanted:]
            found.insert(0, absent)
            wanted -= absent.size
            stop = start
        return np.concatenate(found)

    def _stored(self, start: int, stop: int) -> np.ndarray:
        flags = self._data["flags"][start:stop]
        wanted = FrameFlag.STORED | FrameFlag.REJECTED
        return np.asarray((flags & int(wanted)) == int(FrameFlag.STORED))

    def _counted(self, start: int, stop: int) -> np.ndarray:
        """Return which frames are stored and have a sum of the region meant."""
        counted = self._data["counted"][start:stop]
        return np.asarray(self._stored(start, stop) & counted)

    def _read(self, start: int, stop: int) -> None:
        for name, column in self._data.items():
            if stop > len(column):
                self._data[name] = np.zeros(max(stop, 2 * len(column)), column.dtype)
                self._data[name][: len(column)] = column
        piece = READ_FRAMES if self.region is None else READ_REGION_FRAMES
        for first in range(start, stop, piece):
            last = min(first + piece, stop)
            rows = self._reader.rows(self.series, self.channel, first, last)
            counted = self.take_region(rows, first)
            for name in _COLUMNS:
                self._data[name][first : first + len(rows)] = rows[name]
            self._data["counted"][first : first + len(rows)] = counted
        self._n = max(self._n, stop)

    def take_region(self, rows: np.ndarray, first: int) -> np.ndarray:
        """Put the region's counts in place of the frames', and return which have any.

        Which column is the region depends on the settings a frame was counted with.

        Parameters
        ----------
        rows
            (n,) `FRAME_RECORD`; total, kept and sentinel are changed.
        first
            Number of the first of them.

        Returns
        -------
        (n,) bool; all true where the whole image is looked at.
        """
        if self.region is None:
            return np.ones(len(rows), np.bool_)
        table = self._reader.region_rows(
            self.series, self.channel, first, first + len(rows)
        )
        counted = np.zeros(len(rows), np.bool_)
        known = min(len(rows), len(table))  # the newest rows may hold no region
        for version, column in self.region.columns:
            if column >= table.shape[1]:
                continue
            here = np.flatnonzero(rows["settings"][:known] == version)
            for name in ("total", "kept", "sentinel"):
                rows[name][here] = table[name][here, column]
            counted[here] = True
        return counted

    def _fill_holes(self, n_stored: int) -> None:
        """Read again where frames came late, newest first, until all are found."""
        stored = self._stored(0, self._n)
        missed = n_stored - int(np.count_nonzero(stored))
        for start in range((self._n - 1) // HOLE_BLOCK * HOLE_BLOCK, -1, -HOLE_BLOCK):
            if missed <= 0:
                return
            stop = min(start + HOLE_BLOCK, self._n)
            before = int(np.count_nonzero(stored[start:stop]))
            if before < stop - start:
                self._read(start, stop)
                found = int(np.count_nonzero(self._stored(start, stop))) - before
                missed -= found
                if found:
                    self._pending = min(self._pending, start)


def _no_data() -> dict[str, np.ndarray]:
    data: dict[str, np.ndarray] = {
        name: np.zeros(0, dtype) for name, dtype in _COLUMNS.items()
    }
    return {**data, "counted": np.zeros(0, np.bool_)}
