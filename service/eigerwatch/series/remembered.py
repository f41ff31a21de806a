"""A series as an earlier process left it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eigerwatch.model import SeriesStart, SourceState
from eigerwatch.series.state import SettingsVersion


@dataclass(frozen=True, slots=True)
class RememberedChannel:
    """One channel's ledger as it was stored."""

    ok: bytes
    """One byte per frame: 1 stored, 0 not."""
    rejected: tuple[int, ...] = ()
    """image_ids of rejected frames."""
    settled_below: int = 0
    late: int = 0
    duplicates: int = 0
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class Remembered:
    """A series that an earlier process left in the store."""

    key: str
    series_id: int
    series_unique_id: str | None = None
    start: SeriesStart | None = None
    state: SourceState = SourceState.COLLECTING
    end_seen: bool = False
    opened_ms: int = 0
    time_origin_ns: int | None = None
    refused: int = 0
    channels: dict[str, RememberedChannel] = field(default_factory=dict)
    settings: tuple[SettingsVersion, ...] = ()
    region_slots: dict[str, int] = field(default_factory=dict)
    """By channel, the region rows that a frame has in the store."""
    changes: Mapping[str, Mapping[str, Any]] | None = None
    """As `Selector.changes`."""
