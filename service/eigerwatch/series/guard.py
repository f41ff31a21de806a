"""Keeps recorded series away from the detector's own endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eigerwatch.model import Message, SeriesEnd, SeriesStart, SourceKind

_MOST_REMEMBERED = 1000


class ReplayGuard:
    """Refuses what a simulator replays where the detector should be.

    A simulator that was started on the detector's port must not be taken for the
    beam.
    """

    def __init__(self) -> None:
        self._replays: dict[int | str, None] = {}

    def refuses(self, source: SourceKind, message: Message) -> bool:
        """Tell whether a message belongs to a series that is marked as recorded."""
        if source is not SourceKind.LIVE:
            return False
        name = message.series_unique_id or message.series_id
        if isinstance(message, SeriesStart):
            if _says_replay(message.user_data):
                while len(self._replays) >= _MOST_REMEMBERED:
                    del self._replays[next(iter(self._replays))]
                self._replays[name] = None
            else:
                self._replays.pop(name, None)
        refused = name in self._replays
        if isinstance(message, SeriesEnd):
            self._replays.pop(name, None)
        return refused


def _says_replay(user_data: Any) -> bool:
    mark = user_data.get("eigersim") if isinstance(user_data, Mapping) else None
    return isinstance(mark, Mapping) and mark.get("mode") == "replay"
