"""What the web asks of the store."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from eigerwatch.store.alarms import Entry
from eigerwatch.store.events import StoredEvent
from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.notes import Exclusion, Note


class StoreReader(Protocol):
    """The part of `eigerwatch.store.read.Reader` that the web uses.

    Every method may raise `StoreError`, and those that name a series
    `UnknownSeriesError`. Called from several threads.
    """

    def series(self, limit: int = 100, *, archived: bool = True) -> list[SeriesInfo]:
        """Return the newest series, newest first, with those in the archive or not."""
        ...

    def info(self, key: str) -> SeriesInfo:
        """Return what is known about one series."""
        ...

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

    def preview(self, key: str, channel: str) -> bytes | None:
        """Return the newest preview image (PNG), None where there is none."""
        ...

    def rejected(self, key: str, channel: str) -> dict[int, str]:
        """Return the rejected frames and why."""
        ...

    def events(
        self, key: str, after: str = "-", limit: int = 1000
    ) -> list[StoredEvent]:
        """Return a series' events, oldest first."""
        ...

    def await_flush(self, key: str, timeout_s: float) -> None:
        """Wait until a series gets more frames, `timeout_s` at most."""
        ...

    def owner(self) -> dict[str, Any] | None:
        """Return who owns the detector's stream, None where nobody does."""
        ...


class NoteStore(Protocol):
    """`eigerwatch.store.notes.Notes`, or what answers like it; as `StoreReader`."""

    def add(self, key: str, text: str, author: str = "") -> Note:
        """Write a note."""
        ...

    def remove(self, key: str, note_id: str) -> None:
        """Delete a note; nothing happens if there is none."""
        ...

    def all(self, key: str) -> list[Note]:
        """Return the notes, oldest first."""
        ...

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
        """Exclude frames first to last, both inclusive, or take them back."""
        ...

    def withdraw(self, key: str, exclusion_id: str) -> None:
        """Undo one decision about frames; nothing happens if there is none."""
        ...

    def exclusions(self, key: str) -> list[Exclusion]:
        """Return what was excluded and taken back, in order."""
        ...


class AlarmStore(Protocol):
    """`eigerwatch.store.alarms.Alarms`, or what answers like it; as `StoreReader`."""

    def append(self, entry: Entry) -> None:
        """Write an entry."""
        ...

    def read(self, after: str | None = None) -> list[tuple[str, Entry]]:
        """Return position and fields of the entries after a position."""
        ...
