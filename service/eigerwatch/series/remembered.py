"""A series as an earlier process left it."""

from __future__ import annotations

from dataclasses import dataclass

from eigerwatch.model import SeriesStart, SourceState
from eigerwatch.series.state import SettingsVersion


@dataclass(frozen=True, slots=True)
class Remembered:
    """A series that an earlier process left in the store."""

    key: str
    series_id: int
    series_unique_id: str | None
    start: SeriesStart | None
    state: SourceState
    end_seen: bool
    highest: int
    opened_ms: int
    time_origin_ns: int | None
    channels: dict[str, tuple[bytes, list[int], int]]
    """Per channel: the ``ok`` string, rejected image_ids, settled_below."""
    settings: tuple[SettingsVersion, ...] = ()
