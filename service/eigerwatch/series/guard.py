"""Keeps recorded series away from the detector's own endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eigerwatch.model import Message, SeriesStart, SourceKind


class ReplayGuard:
    """Refuses what a simulator replays where the detector should be.

    A simulator that was started on the detector's port must not be taken for the
    beam.
    """

    def __init__(self) -> None:
        self._replays: set[int | str] = set()

    def refuses(self, source: SourceKind, message: Message) -> bool:
        """Tell whether a message belongs to a series that is marked as recorded."""
        if source is not SourceKind.LIVE:
            return False
        name = message.series_unique_id or message.series_id
        if isinstance(message, SeriesStart):
            if _says_replay(message.user_data):
                self._replays.add(name)
            else:
                self._replays.discard(name)
        return name in self._replays


def _says_replay(user_data: Any) -> bool:
    mark = user_data.get("eigersim") if isinstance(user_data, Mapping) else None
    return isinstance(mark, Mapping) and mark.get("mode") == "replay"
