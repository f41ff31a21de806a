"""Series, ledgers and events as they go into the store."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import structlog

from eigerwatch import catalogue
from eigerwatch.model import FRAME_RECORD, REASON_SHIFT, EventKind, FrameFlag
from eigerwatch.reduce import Rejection
from eigerwatch.series.instructions import (
    Closed,
    FrameRejected,
    FramesMissing,
    HeaderAdopted,
    Instruction,
    Opened,
    Refused,
    SettingsBegan,
    StateChanged,
)
from eigerwatch.series.state import Series, SettingsVersion
from eigerwatch.store.write import Writer

log = structlog.get_logger()

_MOST_GAP_EVENTS = 200
"""Gap events written per series; further holes are counted, not listed."""


class Bookkeeper:
    """Keeps the store's account of series; the writer never makes it wait."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._gap_events: Counter[str] = Counter()
        self.rejected_messages: Counter[str] = Counter()

    def go_on(self, series: Series) -> None:
        """Go on with a series that an earlier process left open."""
        meta = catalogue.state_meta(series)
        self._writer.open_series(series.key, meta, series.opened_ms)

    def refresh(self, series: Series) -> None:
        """Store the state and the counts of an open series."""
        self._writer.update_series(series.key, catalogue.state_meta(series))
        self.write_ledgers(series)

    def carry_out(self, instruction: Instruction) -> None:
        """Do what a tracker says, short of reducing frames."""
        match instruction:
            case Opened(series):
                self._writer.open_series(
                    series.key, catalogue.opening_meta(series), series.opened_ms
                )
                self._writer.event(series.key, EventKind.START, {})
                self._write_masks(series)
                log.info("series began", series=series.key, number=series.announced)
            case HeaderAdopted(series):
                self._writer.update_series(series.key, catalogue.header_meta(series))
                self._write_masks(series)
            case SettingsBegan(series, channel, version):
                self._begin_settings(series, channel, version)
            case FrameRejected(series, channel, image_id, reason, detail):
                error = Rejection(reason, detail)
                self.reject(series, channel, image_id, error, time.time_ns())
                self.write_ledger(series, channel)
            case FramesMissing(series, channel, runs):
                self._declare(series, channel, runs)
            case StateChanged(series):
                self._writer.update_series(series.key, catalogue.state_meta(series))
            case Closed(series):
                self._close_series(series)
            case Refused(_, detail):
                self.count_rejected("sequence", detail)

    def _write_masks(self, series: Series) -> None:
        if series.start is not None:
            for channel, mask in series.start.pixel_masks.items():
                self._writer.mask(series.key, channel, mask)

    def _begin_settings(
        self, series: Series, channel: str, version: SettingsVersion
    ) -> None:
        """Store what is counted from now on, before the first record that says so."""
        self._writer.update_series(series.key, catalogue.state_meta(series))
        for note in version.notes:
            log.warning("counted otherwise than asked for", series=series.key, why=note)
        if version.number > 0 or version.notes:
            self._writer.event(
                series.key,
                EventKind.SETTINGS,
                {
                    "channel": channel,
                    "version": str(version.number),
                    "first": str(version.from_image_id),
                    "notes": "; ".join(version.notes),
                },
            )

    def _declare(
        self, series: Series, channel: str, runs: list[tuple[int, int]]
    ) -> None:
        for first, last in runs:
            if self._gap_events[series.key] < _MOST_GAP_EVENTS:
                self._gap_events[series.key] += 1
                self._writer.event(
                    series.key,
                    EventKind.GAP,
                    {"channel": channel, "first": str(first), "last": str(last)},
                )
        self.write_ledger(series, channel)

    def _close_series(self, series: Series) -> None:
        self.write_ledgers(series)
        ended_ms = time.time_ns() // 1_000_000
        self._writer.event(series.key, EventKind.END, {"state": series.state.value})
        self._writer.close_series(
            series.key, {**catalogue.state_meta(series), "ended_ms": ended_ms}
        )
        for channel, ledger in series.channels.items():
            log.info(
                "series ended",
                series=series.key,
                channel=channel,
                state=series.state.value,
                seconds=round((ended_ms - series.opened_ms) / 1000, 1),
                **catalogue.ledger_counts(ledger, series.highest),
            )
        self._gap_events.pop(series.key, None)

    def reject(
        self,
        series: Series,
        channel: str,
        image_id: int,
        error: Rejection,
        received_ns: int,
    ) -> None:
        """Store that a frame came and cannot be used, and why."""
        record = np.zeros((), FRAME_RECORD)
        record["received_ns"] = received_ns
        record["flags"] = FrameFlag.REJECTED | error.reason << REASON_SHIFT
        self._writer.reject(series.key, channel, image_id, error.text, record)

    def write_ledger(self, series: Series, channel: str) -> None:
        """Store one channel's counts."""
        if series.highest < 0:
            return
        # Every channel's string reaches the series' highest frame, so that the
        # counts of any channel add up to highest + 1.
        self._writer.extend(series.key, channel, series.highest)
        self._writer.ledger(
            series.key,
            channel,
            catalogue.ledger_counts(series.ledger(channel), series.highest),
        )

    def write_ledgers(self, series: Series) -> None:
        """Store the counts of every channel."""
        for channel in series.channels:
            self.write_ledger(series, channel)

    def count_rejected(self, kind: str, detail: str) -> None:
        """Count a message that is no frame; log the first one of its kind."""
        self.rejected_messages[kind] += 1
        if self.rejected_messages[kind] == 1:
            log.warning("first rejected message of its kind", kind=kind, detail=detail)
