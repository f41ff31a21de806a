"""Entries of the store's streams, and what those of a series' events say."""

from __future__ import annotations

from dataclasses import dataclass

from eigerwatch.store.info import text_of

Entries = list[tuple[str, dict[str, str]]]
"""Stream entries: (position, fields)."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One entry of a series' events."""

    id: str
    """Unique for ever; repeats have the same."""
    entry: str
    """Position in the stream: what `Reader.events` takes as `after`."""
    ms: int
    """When it was noticed, UTC epoch [ms]."""
    kind: str
    fields: dict[str, str]


def as_event(entry: str, fields: dict[str, str]) -> StoredEvent:
    """Return a stream entry of a series' events as what it says."""
    rest = dict(fields)
    ms = rest.pop("ms", "")
    at = ms if ms.isdigit() and len(ms) < 16 else entry.partition("-")[0]
    return StoredEvent(
        id=rest.pop("id", entry),
        entry=entry,
        ms=int(at),
        kind=rest.pop("kind", ""),
        fields=rest,
    )


def as_entry(
    position: bytes, fields: dict[bytes, bytes] | None
) -> tuple[str, dict[str, str]]:
    """Return an entry as the server sent it as text; None: it was deleted."""
    return position.decode(), text_of(fields or {})


def position_of(entry: str) -> tuple[int, int]:
    """Return what positions are ordered by."""
    ms, _, sequence = entry.partition("-")
    return int(ms or 0), int(sequence or 0)
