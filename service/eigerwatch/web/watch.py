"""What all clients share: the source's state, the series looked at, their ticks."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eigerwatch.errors import StoreError, UnknownSeriesError
from eigerwatch.framecache import FrameCache
from eigerwatch.model import SourceKind, SourceState
from eigerwatch.store.events import StoredEvent
from eigerwatch.store.info import SeriesInfo
from eigerwatch.web.assessing import Assessor
from eigerwatch.web.reading import StoreReader
from eigerwatch.web.source import (
    BEAT_LIMIT_S,
    OPEN_STATES,
    Judgement,
    SourceWatch,
    followed,
    own_beam,
)
from eigerwatch.web.ticks import Tick, TickBuilder, View, clipped, ledger_dict

LIVE = "live"
"""Stands for the series that "follow live" shows; no key, keys have a colon."""
LOOK_BACK = 10
"""Newest series among which the followed one is looked for,"""
LOOK_FAR_BACK = 200
"""and where all of these are replays."""
LIST_S = 1.0
"""Time between two looks at the list [s]; in between only one series is read."""
FLUSH_S = 0.06
"""A little more than the time between two flushes of a consumer [s]."""
EVENT_LIMIT = 1000
"""Events of one series that are read at a time,"""
EVENTS_KEPT = 20_000
"""and kept: as many as the store keeps."""


@dataclass(frozen=True, slots=True)
class SeenEvents:
    """The events of a series, the oldest of which may have been dropped."""

    kept: tuple[StoredEvent, ...] = ()
    dropped: int = 0

    @property
    def count(self) -> int:
        """How many there were."""
        return self.dropped + len(self.kept)

    def since(self, count: int) -> tuple[StoredEvent, ...]:
        """Return those that came after the first `count`."""
        return self.kept[max(0, count - self.dropped) :]

    def __add__(self, new: Sequence[StoredEvent]) -> SeenEvents:
        # Repeats are of a flush that was tried again: they follow closely.
        seen = {event.id for event in self.kept[-EVENT_LIMIT:]}
        kept = (*self.kept, *(event for event in new if event.id not in seen))
        beyond = max(0, len(kept) - EVENTS_KEPT)
        return SeenEvents(kept[beyond:], self.dropped + beyond)


@dataclass(frozen=True, slots=True)
class Situation:
    """The store as seen at one moment."""

    judgement: Judgement
    """Of the source: the followed series and the consumer."""
    series: SeriesInfo | None
    """The followed series."""
    others: tuple[str, ...]
    """Other series that are open."""
    owner: dict[str, Any] | None
    consumer_age_s: float | None
    store_error: str | None
    at_s: float
    """Monotonic time."""


class Watch:
    """Reads the store for everyone; thread-safe."""

    def __init__(
        self, reader: StoreReader, frames: FrameCache, assessor: Assessor
    ) -> None:
        self.reader = reader
        self.ticks = TickBuilder(frames, assessor)
        self.held: Callable[[str], bool] = lambda _series: False
        """Tells whether somebody holds the replay that makes a series."""
        self._source = SourceWatch()
        self._lock = threading.Lock()
        self._situation: Situation | None = None
        self._listed: list[SeriesInfo] = []
        self._listed_s = -LIST_S
        self._since: tuple[SourceState | None, float] = (None, 0.0)
        self._events: dict[str, SeenEvents] = {}

    def await_flush(self) -> None:
        """Wait for more frames of the followed series, if it gets any; never raises.

        The store gets frames in bursts: what is read right after one is newest.
        """
        known = self._situation
        if known and known.series and known.judgement.state is SourceState.COLLECTING:
            with contextlib.suppress(StoreError):
                self.reader.await_flush(known.series.key, FLUSH_S)

    def look(self, max_age_s: float = 0.0) -> Situation:
        """Return the situation, read anew if older than `max_age_s`; never raises."""
        with self._lock:
            known = self._situation
            if known is None or time.monotonic() - known.at_s > max_age_s:
                known = self._situation = self._read()
            return known

    def _read(self) -> Situation:
        now_s = time.monotonic()
        try:
            if now_s - self._listed_s >= LIST_S:
                self._listed, self._listed_s = self._newest(), now_s
            info = followed(self._listed)
            if info is not None and self._listed_s != now_s:
                info = self.reader.info(info.key)
            owner = self.reader.owner()
        except UnknownSeriesError:  # forgotten since it was listed
            self._listed_s = -LIST_S
            return self._read()
        except StoreError as exc:
            text = f"the store does not answer: {exc}"
            judgement = Judgement(SourceState.ERROR, text)
            known = self._situation.series if self._situation else None
            failed_s = time.monotonic()  # it may have taken long
            return Situation(judgement, known, (), None, None, str(exc), failed_s)
        age_s = self._source.consumer_age_s(owner)
        others = tuple(
            s.key
            for s in self._listed
            if SourceState(s.state) in OPEN_STATES and info and s.key != info.key
        )
        judgement = self._judged(info, age_s)
        read_s = time.monotonic()
        return Situation(judgement, info, others, owner, age_s, None, read_s)

    def _newest(self) -> list[SeriesInfo]:
        """Return the newest series, among them the one to follow.

        The archive is a folder, which may be large and far away: it is looked at only
        where there is nothing else.
        """
        found = self.reader.series(LOOK_BACK, archived=False)
        if len(found) == LOOK_BACK and not any(own_beam(info) for info in found):
            found = self.reader.series(LOOK_FAR_BACK, archived=False)
        return found or self.reader.series(LOOK_BACK)

    def _judged(self, info: SeriesInfo | None, age_s: float | None) -> Judgement:
        judgement = self._source.judge(info, age_s)
        stalled = judgement.state is SourceState.STALLED
        if stalled and info and info.source == SourceKind.REPLAY:
            with contextlib.suppress(StoreError):
                if self.held(info.key):
                    return Judgement(judgement.state, "the replay is paused")
        return judgement

    def state_message(self, situation: Situation) -> dict[str, Any]:
        """Return the ``state`` message of the live protocol."""
        info, now_ms = situation.series, time.time() * 1000
        if self._since[0] != situation.judgement.state:
            self._since = (situation.judgement.state, now_ms)
        owner, age_s = situation.owner, situation.consumer_age_s
        return {
            "t": "state",
            "source": situation.judgement.state,
            "text": situation.judgement.text,
            "since": self._since[1],
            "now": now_ms,
            "series": info.key if info else None,
            "kind": info.source if info else None,
            "others": list(situation.others),
            "ledgers": {
                name: ledger_dict(ledger) for name, ledger in info.ledgers.items()
            }
            if info
            else {},
            "consumer": {
                "alive": age_s is not None and age_s < BEAT_LIMIT_S,
                "beat_age_s": age_s,
                "status": plain(owner.get("status")) if owner else {},
            },
            "store": situation.store_error,
        }

    def resolve(self, series: str, channel: str | None) -> tuple[SeriesInfo, str]:
        """Return the series and channel meant by a request.

        Raises
        ------
        UnknownSeriesError, StoreError
            There is no such series, or the store is away.
        LookupError
            There is no series yet, or the series has no such channel.
        """
        following = series == LIVE
        if following:
            situation = self.look(max_age_s=1.0)
            if situation.series is None:
                raise LookupError("there is no series yet")
            series = situation.series.key
        info = self.reader.info(series)
        channels = info.channels or tuple(info.ledgers)
        if channel is None or (following and channel not in channels):
            if not channels:
                raise LookupError(f"series {series} has no channel yet")
            channel = channels[0]
        elif channel not in channels:
            raise LookupError(
                f"series {series} has no channel {channel!r}; "
                f"it has {', '.join(channels) or 'none yet'}"
            )
        return info, channel

    def judge(self, info: SeriesInfo) -> Judgement:
        """Return the state of one series."""
        return self._judged(info, self.look(max_age_s=1.0).consumer_age_s)

    def tick(self, view: View, info: SeriesInfo) -> Tick:
        """Return the newest tick of a view of `info`."""
        ledger = info.ledgers.get(view.channel)
        view = clipped(view, ledger.highest + 1 if ledger else 0)
        n_events = self.events(info.key).count
        return self.ticks.build(view, info, self.judge(info), n_events)

    def silence_s(self, info: SeriesInfo) -> float:
        """Return the time since a series last got a frame [s]."""
        return self._source.silence_s(info)

    def events(self, series: str) -> SeenEvents:
        """Return the events of a series, reading those that are new."""
        known = self._events.get(series, SeenEvents())
        after = known.kept[-1].entry if known.kept else "-"
        found = self.reader.events(series, after=after, limit=EVENT_LIMIT)
        if found:
            known += found
        if series not in self._events and len(self._events) > 32:
            self._events.clear()
        self._events[series] = known
        return known


def plain(value: Any) -> Any:
    """Return what other processes wrote as something JSON can say: NaN is None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > 2**53:
        return str(value)
    return value
