"""A store in memory that answers like `eigerwatch.store.read.Reader`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eigerwatch.errors import StoreError, UnknownSeriesError
from eigerwatch.model import FRAME_RECORD, REGION_ROW, FrameFlag
from eigerwatch.store.events import StoredEvent
from eigerwatch.store.info import Ledger, SeriesInfo
from eigerwatch.store.notes import Exclusion, Note


@dataclass
class _Channel:
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, FRAME_RECORD))
    regions: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), REGION_ROW))
    preview: bytes | None = None
    rejected: dict[int, str] = field(default_factory=dict)
    settled_below: int = 0

    def ledger(self) -> Ledger:
        n = len(self.rows)
        stored = int(np.count_nonzero(self.rows["flags"]))
        settled = np.flatnonzero(self.rows["flags"][: self.settled_below] == 0)
        missing = len(set(settled.tolist()) - set(self.rejected))
        rejected = len(self.rejected)
        return Ledger(
            stored=stored,
            rejected=rejected,
            outstanding=n - stored - rejected - missing,
            missing=missing,
            highest=n - 1,
            late=int(np.count_nonzero(self.rows["flags"] & FrameFlag.LATE)),
            settled_below=self.settled_below,
        )


@dataclass
class _Series:
    fields: dict[str, Any]
    channels: dict[str, _Channel]
    events: list[StoredEvent] = field(default_factory=list)


@contextmanager
def growing(
    store: MemoryStore, key: str, totals: Callable[[int], np.ndarray], frames: int = 20
) -> Iterator[threading.Event]:
    """Let so many frames come every 0.3 s, until the event is set or at the end."""
    over = threading.Event()

    def grow() -> None:
        while not over.wait(0.3):
            store.append(key, totals(frames))

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield over
    finally:
        over.set()
        thread.join()


class MemoryStore:
    """Series that a test makes and grows; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._flushed = threading.Condition(self._lock)
        self._series: dict[str, _Series] = {}
        self._owner: dict[str, Any] | None = None
        self.away: str | None = None
        """Text of the StoreError that every read raises."""

    # ---- what a consumer would do ----

    def beat(self, **status: Any) -> None:
        """Have a consumer that lives, until the lease is dropped."""
        now_ms = int(time.time() * 1000)
        with self._lock:
            self._owner = {
                "owner": "consumer-1",
                "host": "daq",
                "pid": 4711,
                "since_ms": now_ms,
                "status": status,
            }

    def drop_lease(self) -> None:
        with self._lock:
            self._owner = None

    def open(
        self,
        key: str,
        channels: tuple[str, ...] = ("threshold_1",),
        state: str = "collecting",
        **fields: Any,
    ) -> None:
        now_ms = int(time.time() * 1000)
        known = {
            "key": key,
            "source": key.partition(":")[0],
            "state": state,
            "series_id": 7,
            "series_unique_id": None,
            "channels": channels,
            "number_of_images": None,
            "frame_time_s": 0.00134,
            "count_time_s": 0.00133,
            "shape": (2167, 2070),
            "dtype": "uint16",
            "detector": "Dectris EIGER2 Si 4M",
            "serial": "E-08-0115",
            "filter_low": 0,
            "filter_high": 4500,
            "started_ms": now_ms,
            "last_write_ms": now_ms,
            "ended_ms": None,
            "end_seen": False,
            "header_missing": False,
            "pinned": False,
            "archived": False,
            "origin": None,
            "meta": {"stream": "v2"},
        }
        with self._lock:
            self._series[key] = _Series(
                {**known, **fields}, {name: _Channel() for name in channels}
            )

    def append(
        self, key: str, totals: Any, *, channel: str | None = None, skip: int = 0
    ) -> None:
        """Store frames after leaving out `skip` of them; all below are settled."""
        totals = np.asarray(totals, np.uint64)
        with self._lock:
            series = self._series[key]
            name = channel or next(iter(series.channels))
            one = series.channels[name]
            first = len(one.rows) + skip
            rows = np.zeros(first + len(totals), FRAME_RECORD)
            rows[: len(one.rows)] = one.rows
            self._fill(rows[first:], totals, first)
            one.rows = rows
            one.settled_below = len(rows)
            series.fields["last_write_ms"] = int(time.time() * 1000)
            self._flushed.notify_all()

    def fill(self, key: str, image_id: int, total: int) -> None:
        """Store a frame that came late."""
        with self._lock:
            series = self._series[key]
            one = next(iter(series.channels.values()))
            rows = one.rows.copy()
            self._fill(rows[image_id : image_id + 1], np.array([total]), image_id)
            rows["flags"][image_id] |= FrameFlag.LATE
            one.rows = rows

    def reject(self, key: str, image_id: int, reason: str = "payload") -> None:
        with self._lock:
            one = next(iter(self._series[key].channels.values()))
            one.rows[image_id] = np.zeros((), FRAME_RECORD)
            one.rejected[image_id] = reason

    def unsettle(self, key: str, below: int) -> None:
        """Say that frames from `below` on may still come."""
        with self._lock:
            next(iter(self._series[key].channels.values())).settled_below = below

    def update(self, key: str, **fields: Any) -> None:
        with self._lock:
            self._series[key].fields.update(fields)

    def show(
        self,
        key: str,
        regions: np.ndarray | None = None,
        preview: bytes | None = None,
    ) -> None:
        """Give the first channel region rows and a preview image."""
        with self._lock:
            one = next(iter(self._series[key].channels.values()))
            one.preview = preview
            if regions is not None:
                one.regions = regions

    def change_settings(self, key: str, start: int, version: int) -> None:
        """Let the frames from `start` on be counted with another version."""
        with self._lock:
            one = next(iter(self._series[key].channels.values()))
            one.rows["settings"][start:] = version

    def forget(self, key: str) -> None:
        """Let a series vanish, as Redis does when its time is over."""
        with self._lock:
            del self._series[key]

    def event(self, key: str, kind: str, **fields: str) -> None:
        with self._lock:
            events = self._series[key].events
            ms = int(time.time() * 1000)
            entry = f"{ms}-{len(events)}"
            events.append(StoredEvent(f"{key}/{len(events)}", entry, ms, kind, fields))

    @staticmethod
    def _fill(rows: np.ndarray, totals: np.ndarray, first: int) -> None:
        rows["total"] = totals
        rows["kept"] = 4_000_000
        rows["flags"] = FrameFlag.STORED
        numbers = np.arange(first, first + len(totals))
        rows["start_ns"] = numbers * 1_340_000
        now_ns = time.time_ns()
        rows["received_ns"] = now_ns - (len(totals) - 1 - np.arange(len(totals))) * 1000

    # ---- what Reader does ----

    def series(self, limit: int = 100, *, archived: bool = True) -> list[SeriesInfo]:
        with self._lock:
            self._check()
            found = [self.info(key) for key in self._series]
        found = [info for info in found if archived or not info.archived]
        found.sort(key=lambda info: -(info.started_ms or 0))
        return found[:limit]

    def info(self, key: str) -> SeriesInfo:
        with self._lock:
            self._check()
            series = self._find(key)
            ledgers = {name: one.ledger() for name, one in series.channels.items()}
            return SeriesInfo(**series.fields, ledgers=ledgers)

    def await_flush(self, key: str, timeout_s: float) -> None:
        with self._flushed:
            self._check()
            self._flushed.wait(timeout_s)

    def rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        with self._lock:
            self._check()
            return self._find(key).channels[channel].rows[start:stop].copy()

    def region_rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        with self._lock:
            self._check()
            one = self._find(key).channels[channel]
            out = np.zeros((len(one.rows), one.regions.shape[1]), REGION_ROW)
            out[: len(one.regions)] = one.regions
            return out[start:stop]

    def preview(self, key: str, channel: str) -> bytes | None:
        with self._lock:
            self._check()
            return self._find(key).channels[channel].preview

    def rejected(self, key: str, channel: str) -> dict[int, str]:
        with self._lock:
            self._check()
            return dict(self._find(key).channels[channel].rejected)

    def events(
        self, key: str, after: str = "-", limit: int = 1000
    ) -> list[StoredEvent]:
        with self._lock:
            self._check()
            events = self._find(key).events
            known = [event.entry for event in events]
            start = known.index(after) + 1 if after in known else 0
            return events[start : start + limit]

    def owner(self) -> dict[str, Any] | None:
        with self._lock:
            self._check()
            if self._owner is None:
                return None
            return {**self._owner, "beat_ms": int(time.time() * 1000)}

    def _check(self) -> None:
        if self.away:
            raise StoreError(self.away)

    def _find(self, key: str) -> _Series:
        if key not in self._series:
            raise UnknownSeriesError(key)
        return self._series[key]


class MemoryNotes:
    """Notes in memory that answer like `eigerwatch.store.notes.Notes`."""

    def __init__(self) -> None:
        self._notes: dict[str, list[Note]] = {}
        self._exclusions: dict[str, list[Exclusion]] = {}
        self._made = 0

    def add(self, key: str, text: str, author: str = "") -> Note:
        kept = self._notes.setdefault(key, [])
        kept.append(Note(f"n{len(kept)}", int(time.time() * 1000), author, text))
        return kept[-1]

    def remove(self, key: str, note_id: str) -> None:
        kept = self._notes.get(key, [])
        self._notes[key] = [note for note in kept if note.id != note_id]

    def all(self, key: str) -> list[Note]:
        return list(self._notes.get(key, []))

    def exclude(
        self,
        key: str,
        first: int,
        last: int,
        *,
        excluded: bool = True,
        author: str = "",
        reason: str = "",
    ) -> str:
        kept = self._exclusions.setdefault(key, [])
        self._made += 1
        number = f"{self._made}-0"
        kept.append(Exclusion(number, first, last, excluded, author, reason))
        return number

    def withdraw(self, key: str, exclusion_id: str) -> None:
        kept = self._exclusions.get(key, [])
        self._exclusions[key] = [one for one in kept if one.id != exclusion_id]

    def exclusions(self, key: str) -> list[Exclusion]:
        return list(self._exclusions.get(key, []))
