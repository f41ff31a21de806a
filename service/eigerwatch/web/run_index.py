"""All runs in memory, as a list shows them, brought up to date as somebody asks."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eigerwatch.model import SourceState
from eigerwatch.store.info import Ledger, SeriesInfo, json_of
from eigerwatch.store.listing import Listed, Said
from eigerwatch.store.summaries import Summary
from eigerwatch.web.run_figures import stamp_of
from eigerwatch.web.run_store import RunStore

CLOSED = frozenset(
    {
        SourceState.FINISHED.value,
        SourceState.STOPPED_EARLY.value,
        SourceState.ERROR.value,
    }
)
ABANDONED_S = 600.0
"""A series that nobody closed is over after this silence [s]."""
HEADER_LETTERS = 20_000
"""Of a header, so many characters can be searched."""
OLD_S = 6.0
"""What was read so long ago is not shown any more [s]."""
BUSY_S, IDLE_S = 2.0, 15.0
"""Time between two readings while somebody looks at the list, and else [s]."""
WANTED_S = 30.0
"""Somebody who asked within so long looks at it [s]."""
WHOLE_S = 60.0
"""Time after which every series is read again: states change without frames [s]."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a series without looking at its frames."""

    key: str
    source: str
    series_id: int | None
    state: str
    detector: str | None
    serial: str | None
    channel: str | None
    ledger: Ledger | None
    """Of the channel."""
    started_ms: int | None
    last_write_ms: int | None
    duration_s: float | None
    announced: int | None
    archived: bool
    pinned: bool
    origin: str | None
    words: str
    """What can be searched, in small letters."""

    @property
    def over(self) -> bool:
        """Whether no frames will come."""
        if self.archived or self.state in CLOSED:
            return True
        return time.time() - (self.last_write_ms or 0) / 1000 > ABANDONED_S


@dataclass(slots=True)
class Entry:
    """One run."""

    listed: Listed
    facts: Facts
    said: Said = field(default_factory=Said)
    said_words: str = ""
    summary: Summary | None = None
    failure: tuple[str, str] | None = None
    """Stamp and why."""


class RunIndex:
    """Knows every run and its figures; thread-safe.

    Parameters
    ----------
    store
        Where runs, labels and figures are.
    made_by
        How figures are made now, of `run_figures.made_by`.
    """

    def __init__(self, store: RunStore, made_by: str) -> None:
        self._store = store
        self._made_by = made_by
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._read_s = self._whole_s = self._asked_s = -math.inf

    def entries(self) -> list[Entry]:
        """Return all runs; read anew only where nobody did so for some time.

        Raises
        ------
        StoreError
            The store is away.
        """
        with self._lock:
            self._asked_s = time.monotonic()
            if self._asked_s - self._read_s >= OLD_S:
                self._read()
            return list(self._entries.values())

    def refresh(self) -> None:
        """Read all runs anew if it is time: more often while somebody looks.

        Raises
        ------
        StoreError
            The store is away.
        """
        with self._lock:
            now_s = time.monotonic()
            pause_s = BUSY_S if now_s - self._asked_s < WANTED_S else IDLE_S
            if now_s - self._read_s >= pause_s:
                self._read()

    def stamp(self, entry: Entry) -> str:
        """Return what a run's figures must have been made from to hold now."""
        return stamp_of(self._made_by, entry.facts.ledger, entry.said.exclusions)

    def judged(self, entry: Entry) -> str:
        """Return ``done``, ``pending``, ``open`` or ``failed``."""
        stamp = self.stamp(entry)
        if entry.failure is not None and entry.failure[0] == stamp:
            return "failed"
        if entry.summary is not None and entry.summary.stamp == stamp:
            return "done"
        return "pending" if entry.facts.over else "open"

    def pending(self) -> list[Entry]:
        """Return the runs to be judged, the newest first."""
        with self._lock:
            entries = list(self._entries.values())
        found = [e for e in entries if self.judged(e) == "pending"]
        return sorted(found, key=lambda e: -(e.facts.started_ms or 0))

    def keep(self, entry: Entry, content: Mapping[str, Any]) -> None:
        """Keep the figures of a run.

        Raises
        ------
        StoreError
            The store does not take them; they are known until the process ends.
        """
        summary = Summary(self.stamp(entry), dict(content))
        with self._lock:
            known = self._entries.get(entry.listed.key)
            if known is not None:
                known.summary = summary
        if entry.listed.archived:
            self._store.summaries.write_archived(entry.listed.key, summary)
        else:
            self._store.summaries.write(entry.listed.key, summary)

    def give_up(self, entry: Entry, why: str) -> None:
        """Say that a run cannot be judged as it is."""
        entry.failure = self.stamp(entry), why

    def renew(self, key: str) -> None:
        """Read one run again: somebody changed it."""
        with self._lock:
            listed = self._store.listing.find(key)
            read = self._read_entries(listed, listed)
            others = {k: e for k, e in self._entries.items() if k != key}
            self._entries = {**others, **read}

    def _read(self) -> None:
        now_s = time.monotonic()
        whole = now_s - self._whole_s >= WHOLE_S
        known = self._entries
        listed = self._store.listing.listed()
        changed = [
            one
            for one in listed
            if (whole and not one.archived)  # a file that changes has another version
            or one.key not in known
            or known[one.key].listed != one
        ]
        self._entries = self._read_entries(listed, changed)
        self._read_s = now_s
        if whole:
            self._whole_s = now_s

    def _read_entries(
        self, listed: Sequence[Listed], changed: Sequence[Listed]
    ) -> dict[str, Entry]:
        """Return the runs listed, of which some changed since they were read."""
        known = self._entries
        infos = self._store.listing.infos(changed)
        new = [
            one for one in changed if one.key in infos and _lacks_summary(known, one)
        ]
        summaries = self._store.summaries.read(
            [one.key for one in new if not one.archived]
        )
        entries = {}
        gone = {one.key for one in changed} - set(infos)
        for one in listed:
            entry = known.get(one.key)
            if one.key in infos:
                facts = facts_of(infos[one.key])
                if entry is None:
                    entry = Entry(one, facts)
                entry.listed, entry.facts = one, facts
            if entry is None or one.key in gone:
                continue
            entries[one.key] = entry
        for one in new:
            entries[one.key].summary = (
                self._store.summaries.read_archived(one.key)
                if one.archived
                else summaries.get(one.key)
            )
        said = self._store.listing.said([entry.listed for entry in entries.values()])
        for key, entry in entries.items():
            heard = said.get(key, Said())
            if heard != entry.said:
                entry.said = heard
                entry.said_words = "\n".join([*heard.notes, *heard.tags]).casefold()
        return entries


def _lacks_summary(known: Mapping[str, Entry], one: Listed) -> bool:
    return one.key not in known or known[one.key].summary is None


def facts_of(info: SeriesInfo) -> Facts:
    """Return what a list needs of a series; its header is long, and let go."""
    channels = list(info.channels or info.ledgers)
    channel = channels[0] if channels else None
    ledger = info.ledgers.get(channel) if channel is not None else None
    words: list[str] = [
        *(info.key, info.source, info.detector or "", info.serial or ""),
        *(info.series_unique_id or "", info.origin or "", *channels),
    ]
    for name in ("header", "user_data", "header_detail"):
        text = info.meta.get(name, "")
        told = json_of(text, dict)
        words += [text] if told is None else _words(told)
    return Facts(
        key=info.key,
        source=info.source,
        series_id=info.series_id,
        state=info.state,
        detector=info.detector,
        serial=info.serial,
        channel=channel,
        ledger=ledger,
        started_ms=info.started_ms,
        last_write_ms=info.last_write_ms,
        duration_s=_duration_s(info, ledger),
        announced=info.number_of_images,
        archived=info.archived,
        pinned=info.pinned,
        origin=info.origin,
        words="\n".join(words)[:HEADER_LETTERS].casefold(),
    )


def _duration_s(info: SeriesInfo, ledger: Ledger | None) -> float | None:
    if ledger is not None and info.frame_time_s:
        return (ledger.highest + 1) * info.frame_time_s
    ended_ms = info.ended_ms or info.last_write_ms
    if info.started_ms is None or ended_ms is None:
        return None
    return max(0.0, (ended_ms - info.started_ms) / 1000)


def _words(told: Any) -> Iterator[str]:
    """Yield all names and values of a header."""
    if isinstance(told, Mapping):
        parts: Iterable[Any] = [part for item in told.items() for part in item]
    elif isinstance(told, list):
        parts = told[:1000]
    else:
        yield str(told)
        return
    for part in parts:
        yield from _words(part)
