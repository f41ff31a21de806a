"""What the source of the frames is doing, judged from outside it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eigerwatch.model import SourceKind, SourceState
from eigerwatch.store.info import SeriesInfo

BEAT_LIMIT_S = 5.0
"""A consumer that has not renewed its lease for so long is dead [s]."""
SILENCE_S = 2.0
"""Collecting, but no frame for so long: stalled [s] ..."""
SILENCE_FRAMES = 20
"""... unless so many frame times are longer."""

OPEN_STATES = frozenset(
    {
        SourceState.ARMED,
        SourceState.COLLECTING,
        SourceState.SETTLING,
        SourceState.STALLED,
    }
)
"""States of a series that may still get frames."""
RECEIVING_STATES = frozenset(
    {SourceState.COLLECTING, SourceState.SETTLING, SourceState.STALLED}
)
"""States in which frames are expected."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A state with its reason."""

    state: SourceState
    text: str
    """One sentence for the page; empty where the state says it all."""


class Age:
    """How long ago a value changed, by the monotonic clock.

    Another host's clock may be wrong, so its time stamp counts only for a value
    that was already there when first seen.
    """

    def __init__(self) -> None:
        self._value: Any = None
        self._changed_s = 0.0

    def of(self, value: Any, stamp_ms: float | None) -> float:
        """Return the age of `value` [s], which was stamped `stamp_ms` (epoch)."""
        now_s = time.monotonic()
        if self._value is None:
            age_s = 0.0 if stamp_ms is None else time.time() - stamp_ms / 1000
            self._changed_s = now_s - max(0.0, age_s)
        elif value != self._value:
            self._changed_s = now_s
        self._value = value
        return now_s - self._changed_s


class SourceWatch:
    """Watches the consumer's lease and the growth of series."""

    def __init__(self) -> None:
        self._beat = Age()
        self._growth: dict[str, Age] = {}

    def consumer_age_s(self, owner: Mapping[str, Any] | None) -> float | None:
        """Return the time since the consumer's last beat [s]; None: no consumer."""
        if owner is None:
            self._beat = Age()
            return None
        beat_ms = owner.get("beat_ms")
        return self._beat.of((owner.get("owner"), beat_ms), beat_ms)

    def judge(self, info: SeriesInfo | None, consumer_age_s: float | None) -> Judgement:
        """Return the state of one series, or of a source without any."""
        alive = consumer_age_s is not None and consumer_age_s < BEAT_LIMIT_S
        if info is None:
            if alive:
                return Judgement(SourceState.NO_DATA, "no frame since the start")
            return Judgement(SourceState.ERROR, _no_consumer(consumer_age_s))
        state = SourceState(info.state)
        silence_s = self.silence_s(info)
        if state in OPEN_STATES and not alive:
            return Judgement(SourceState.ERROR, _no_consumer(consumer_age_s))
        limit_s = max(SILENCE_S, SILENCE_FRAMES * (info.frame_time_s or 0.0))
        stalled = state == SourceState.COLLECTING and silence_s > limit_s
        if stalled or state == SourceState.STALLED:
            text = f"no frame for {duration(silence_s)}"
            return Judgement(SourceState.STALLED, text)
        return Judgement(state, "")

    def silence_s(self, info: SeriesInfo) -> float:
        """Return the time since the series last got a frame [s]."""
        counts = tuple(
            (ledger.highest, ledger.stored, ledger.rejected)
            for ledger in info.ledgers.values()
        )
        if len(self._growth) > 256:
            self._growth.clear()
        return self._growth.setdefault(info.key, Age()).of(counts, info.last_write_ms)


def followed(series: list[SeriesInfo]) -> SeriesInfo | None:
    """Return the series that "follow live" shows.

    The detector's (or the demo's) newest series, an open one before closed ones; a
    replay only where there is nothing else.
    """
    if not series:
        return None

    def rank(info: SeriesInfo) -> tuple[bool, bool, int]:
        is_open = SourceState(info.state) in OPEN_STATES
        return own_beam(info), is_open, info.started_ms or 0

    return max(series, key=rank)


def own_beam(info: SeriesInfo) -> bool:
    """Return whether a series is of the detector, or of the demo; no replay."""
    return info.source in (SourceKind.LIVE, SourceKind.SIM)


def duration(seconds: float) -> str:
    """Return a duration for people: ``12 s``, ``3 min``, ``2 h``, ``5 days``."""
    for limit, divisor, unit in (
        (120, 1, "s"),
        (7200, 60, "min"),
        (172_800, 3600, "h"),
    ):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def _no_consumer(age_s: float | None) -> str:
    if age_s is None:
        return "no consumer is running: nothing reads the detector"
    return f"no sign of life from the consumer for {duration(age_s)}"
