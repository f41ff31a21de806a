"""The series in memory, found by the names that messages carry."""

from __future__ import annotations

from eigerwatch.series.state import Series

_MOST_DROPPED = 10_000
"""Keys of dropped series remembered, so that none is opened a second time."""


class SeriesRegistry:
    """Holds a bounded number of series; of equal names the newest one counts."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._by_key: dict[str, Series] = {}
        self._newest_of_id: dict[int, Series] = {}
        self._by_unique_id: dict[str, Series] = {}
        self._dropped: dict[str, None] = {}
        self.newest: Series | None = None

    def knows(self, key: str) -> bool:
        """Tell whether a series of that key is here, or was and has been dropped."""
        return key in self._by_key or key in self._dropped

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def open(self) -> list[Series]:
        """Series that still expect frames, oldest first; safe from any thread."""
        return [series for series in list(self._by_key.values()) if series.is_open]

    def find(self, series_id: int, series_unique_id: str | None) -> Series | None:
        """Return the series a message means, if it is known."""
        if series_unique_id is not None:
            return self._by_unique_id.get(series_unique_id)
        return self._newest_of_id.get(series_id)

    def add(self, series: Series) -> None:
        """Take in a series, the newest from now on."""
        self._by_key[series.key] = series
        self._newest_of_id[series.series_id] = series
        if series.series_unique_id is not None:
            self._by_unique_id[series.series_unique_id] = series
        self.newest = series

    def make_room(self) -> list[Series]:
        """Drop series until one more fits, closed ones first; return the dropped.

        Series whose frames are being reduced stay, even if there are too many.
        """
        dropped = []
        while len(self._by_key) >= self._capacity:
            idle = [s for s in self._by_key.values() if not s.busy]
            oldest = next((s for s in idle if not s.is_open), next(iter(idle), None))
            if oldest is None:
                break
            del self._by_key[oldest.key]
            if self._newest_of_id.get(oldest.series_id) is oldest:
                del self._newest_of_id[oldest.series_id]
            if oldest.series_unique_id is not None:
                self._by_unique_id.pop(oldest.series_unique_id, None)
            self._dropped[oldest.key] = None
            if len(self._dropped) > _MOST_DROPPED:
                del self._dropped[next(iter(self._dropped))]
            dropped.append(oldest)
        return dropped
