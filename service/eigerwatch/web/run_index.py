"""All runs in memory, as a list shows them, brought up to date as somebody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
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

    def stamp(self, made_by: str) -> str:
        """Return what its figures must have been made from to hold now."""
        return stamp_of(made_by, self.facts.ledger, self.said.exclusions)


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
        self._read_s = self._whole_s = -WHOLE_S

    def entries(self, max_age_s: float = 2.0) -> list[Entry]:
        """Return all runs, read anew if older than `max_age_s`.

        Raises
        ------
        StoreError
            The store is away.
        """
        with self._lock:
            if time.monotonic() - self._read_s >= max_age_s:
                self._read()
            return list(self._entries.values())

    def judged(self, entry: Entry) -> str:
        """Return ``done``, ``pending``, ``open`` or ``failed``."""
        stamp = entry.stamp(self._made_by)
        if entry.failure is not None and entry.failure[0] == stamp:
            return "failed"
        if entry.summary is not None and entry.summary.stamp == stamp:
            return "done"
        return "pending" if entry.facts.over else "open"

    def pending(self) -> list[Entry]:
        """Return the runs to be judged, the newest first."""
        found = [e for e in self.entries() if self.judged(e) == "pending"]
        return sorted(found, key=lambda e: -(e.facts.started_ms or 0))

    def keep(self, entry: Entry, content: Mapping[str, Any]) -> None:
        """Keep the figures of a run.

        Raises
        ------
        StoreError
            The store does not take them; they are known until the process ends.
        """
        summary = Summary(entry.stamp(self._made_by), dict(content))
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
        entry.failure = entry.stamp(self._made_by), why

    def forget(self, key: str) -> None:
        """Read a run again the next time: somebody changed it."""
        with self._lock:
            if (known := self._entries.get(key)) is not None:
                known.listed = Listed(key, (), known.listed.archived)
            self._read_s = -WHOLE_S

    def _read(self) -> None:
        now_s = time.monotonic()
        whole = now_s - self._whole_s >= WHOLE_S
        listed = self._store.listing.listed()
        known = self._entries
        changed = [
            one
            for one in listed
            if whole or one.key not in known or known[one.key].listed != one
        ]
        infos = self._store.listing.infos(changed)
        fresh = {one.key: one for one in changed if one.key in infos}
        summaries = self._store.summaries.read(
            [
                key
                for key, one in fresh.items()
                if not one.archived and (key not in known or not known[key].summary)
            ]
        )
        entries = {}
        for one in listed:
            entry = known.get(one.key)
            if one.key in fresh:
                facts = facts_of(infos[one.key])
                if entry is None or entry.listed.archived != one.archived:
                    entry = Entry(one, facts, summary=entry.summary if entry else None)
                entry.listed, entry.facts = one, facts
                if entry.summary is None:
                    entry.summary = (
                        self._store.summaries.read_archived(one.key)
                        if one.archived
                        else summaries.get(one.key)
                    )
            elif entry is None or one in changed:
                continue  # gone since it was listed
            entries[one.key] = entry
        said = self._store.listing.said([e.listed for e in entries.values()])
        for key, entry in entries.items():
            heard = said.get(key, Said())
            if heard != entry.said:
                entry.said = heard
                entry.said_words = "\n".join([*heard.notes, *heard.tags]).casefold()
        self._entries, self._read_s = entries, now_s
        if whole:
            self._whole_s = now_s


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
