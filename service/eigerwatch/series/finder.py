"""Which series a message belongs to, and when it begins a new one."""

from __future__ import annotations

from eigerwatch.model import SeriesStart, SourceKind
from eigerwatch.sections import SeriesSettings
from eigerwatch.selection import Selector
from eigerwatch.series.identity import series_key
from eigerwatch.series.instructions import HeaderAdopted, Instruction, Opened
from eigerwatch.series.ledger import UNSEEN, SettleClock
from eigerwatch.series.lifecycle import Lifecycle
from eigerwatch.series.registry import SeriesRegistry
from eigerwatch.series.state import Series

_LATE_AFTER_END_S = 60.0
"""How long after a series closed its frame numbers still mean that series [s]."""


class SeriesFinder:
    """Finds the series of a message by its names, and opens new ones.

    Stream v2 has unique ids. Stream v1 has only numbers, which start again whenever
    the detector is initialised, so that order, repetition and silence must tell.
    """

    def __init__(
        self,
        source: SourceKind,
        settings: SeriesSettings,
        selector: Selector,
        lifecycle: Lifecycle,
    ) -> None:
        self._source = source
        self._settings = settings
        self._selector = selector
        self._lifecycle = lifecycle
        self.registry = SeriesRegistry(settings.max_open)

    def use(self, selector: Selector) -> None:
        """Count series that begin from now on otherwise; from any thread."""
        self._selector = selector

    def start(
        self, start: SeriesStart, now: float, arrived_ms: int
    ) -> list[Instruction]:
        """Take a START: a new series, a late header, or a repetition."""
        known = self.registry.find(start.series_id, start.series_unique_id)
        if known is not None and self._same_series(known, start, now):
            known.last_seen = now
            if start.series_unique_id is None and known.highest >= 0:
                known.second_start = start
            if known.start is None:
                known.adopt(start)
                return [HeaderAdopted(known)]
            return []
        out: list[Instruction] = []
        self._open(start.series_id, start.series_unique_id, start, now, arrived_ms, out)
        return out

    def _same_series(self, known: Series, start: SeriesStart, now: float) -> bool:
        """Tell a repeated or late START from the START of another series."""
        if start.series_unique_id is not None:
            return True
        if known.end_seen or not known.is_open:
            return False
        if known.start is None:
            return not self._lifecycle.silent(known, now)
        return known.start.header == start.header

    def series_of(
        self,
        series_id: int,
        series_unique_id: str | None,
        image_id: int,
        now: float,
        arrived_ms: int,
        out: list[Instruction],
    ) -> Series:
        """Return the series a frame belongs to; open a provisional one if none does."""
        series = self.registry.find(series_id, series_unique_id)
        if series is None or (
            series_unique_id is None and self._begins_another(series, image_id, now)
        ):
            start = series.second_start if series else None
            return self._open(series_id, series_unique_id, start, now, arrived_ms, out)
        series.second_start = None
        return series

    def _begins_another(self, series: Series, image_id: int, now: float) -> bool:
        """Tell whether a v1 frame is of a newer series that bears the same number.

        Numbers start again whenever the detector is initialised. A frame seen
        before is of a newer series where a second START came, or where the known
        series had ended or fallen silent; otherwise it is a repetition.
        """
        seen = any(c.status(image_id) != UNSEEN for c in series.channels.values())
        if series.is_open:
            return seen and (
                series.second_start is not None or self._lifecycle.silent(series, now)
            )
        return seen or now - series.last_seen > _LATE_AFTER_END_S

    def _open(
        self,
        series_id: int,
        series_unique_id: str | None,
        start: SeriesStart | None,
        now: float,
        arrived_ms: int,
        out: list[Instruction],
    ) -> Series:
        for other in self.registry.open:
            self._lifecycle.begin_settling(other, now, out)
        for dropped in self.registry.make_room():
            if dropped.is_open:
                self._lifecycle.close(dropped, out)
        key = series_key(self._source, series_id, series_unique_id, start, arrived_ms)
        if self.registry.knows(key):
            # Dropped from memory long ago: what comes now must not overwrite it.
            key = series_key(self._source, series_id, None, start, arrived_ms)
        while self.registry.knows(key):
            arrived_ms += 1
            key = series_key(self._source, series_id, None, start, arrived_ms)
        series = self.add(key, series_id, series_unique_id, start, now, arrived_ms)
        out.append(Opened(series))
        return series

    def add(
        self,
        key: str,
        series_id: int,
        series_unique_id: str | None,
        start: SeriesStart | None,
        now: float,
        opened_ms: int,
        selector: Selector | None = None,
    ) -> Series:
        """Take in a series; without a selector of its own it gets the current one."""
        series = Series(
            key=key,
            source=self._source,
            series_id=series_id,
            series_unique_id=series_unique_id,
            selector=selector or self._selector,
            clock=SettleClock(self._settings.settle_s),
            opened_ms=opened_ms,
            start=start,
            last_seen=now,
        )
        self.registry.add(series)
        return series
