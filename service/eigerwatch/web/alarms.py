"""Alarms of the followed series: begun, held while they flap, seen, ended."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.analysis.targets import Decision, Judged
from eigerwatch.errors import AcknowledgedError, StoreError, UnknownAlarmError
from eigerwatch.model import SourceState
from eigerwatch.sections import TargetSettings
from eigerwatch.store.alarms import (
    LENGTH,
    Alarm,
    AlarmBook,
    Entry,
    Reason,
    entry_acknowledge,
    entry_begin,
    entry_end,
    entry_reasons,
)
from eigerwatch.web.beam import Beam
from eigerwatch.web.reading import AlarmStore
from eigerwatch.web.source import Judgement
from eigerwatch.web.watch import Watch

log = structlog.get_logger(__name__)

SOURCE = "source"
"""Name of the reason that no frames come."""
_COMING = frozenset({SourceState.COLLECTING, SourceState.SETTLING})
"""States in which a decision is about the beam as it is now."""
_FAILING = frozenset({SourceState.STALLED, SourceState.ERROR})
"""States that tell nothing about the beam, but should not be."""


class AlarmWatch:
    """Turns decisions into alarms; thread-safe.

    Every reason of an alarm is over when it has been gone for the hold-off, and the
    alarm is when all of them are. What is not known for a while changes nothing.

    Parameters
    ----------
    watch
        Knows the state of the source.
    targets
        Hold-off, and whether the source itself may give alarm.
    store
        Keeps the history; None: it lives as long as this process.
    clock
        Monotonic time [s].
    """

    def __init__(
        self,
        watch: Watch,
        targets: TargetSettings,
        store: AlarmStore | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.brief: dict[str, Any] = {"version": 0, "lasting": None, "unseen": 0}
        """What every page is told all the time; never waits for the store."""
        self._clock = clock
        self._watch = watch
        self._targets = targets
        self._store = store
        self._lock = threading.Lock()
        self._book = AlarmBook()
        self._ready = store is None
        """Whether the history was read: else an alarm might begin twice."""
        self._after: str | None = None
        self._waiting: deque[Entry] = deque(maxlen=LENGTH)
        """Entries that the store has not got yet."""
        self._now: dict[str, Reason] = {}
        """Reasons that hold now."""
        self._gone: dict[str, tuple[float, int]] = {}
        """Reasons that do not, since when: monotonic [s] and UTC epoch [ms]."""
        self._over: set[str] = set()
        """Reasons of the lasting alarm that have been gone for the hold-off."""
        self._worst: dict[str, float] = {}

    def look(self, beam: Beam) -> None:
        """Take a decision in."""
        judgement = self._watch.look(max_age_s=1.0).judgement
        with self._lock:
            self._read()
            if self._ready:
                self._follow(beam, judgement)
                self._write()
            self._tell()

    def acknowledge(self, alarm: str, author: str, comment: str) -> Alarm:
        """Say that somebody has seen an alarm.

        Raises
        ------
        UnknownAlarmError
            There is none of this id.
        AcknowledgedError
            Somebody has said so already.
        StoreError
            It cannot be kept.
        """
        with self._lock:
            self._read()
            known = self._book.find(alarm)
            if known is None:
                raise UnknownAlarmError(f"no alarm {alarm!r} is known")
            if known.acknowledged:
                by = known.acknowledgements[-1].author or "somebody"
                raise AcknowledgedError(f"acknowledged already by {by}")
            entry = entry_acknowledge(alarm, author, comment)
            if self._store is not None:
                self._write(failing=True)
                self._store.append(entry)
            self._book.take(entry)
            self._tell()
            log.info("alarm acknowledged", alarm=alarm, author=author)
            found = self._book.find(alarm)
            assert found is not None
            return found

    def alarms(self, limit: int) -> list[Alarm]:
        """Return the newest alarms first."""
        with self._lock:
            return self._book.newest_first[:limit]

    @property
    def kept(self) -> bool:
        """Whether the history outlives this process."""
        return self._store is not None

    def _tell(self) -> None:
        lasting = self._book.lasting
        now = [reason.text for reason in self._now.values()]
        told = None if lasting is None else {**lasting.as_dict(), "now": now}
        book = self._book
        self.brief = {"version": book.version, "lasting": told, "unseen": book.unseen}

    # ---- what begins and ends ----

    def _follow(self, beam: Beam, judgement: Judgement) -> None:
        lasting = self._book.lasting
        if lasting and beam.series and beam.series != lasting.series:
            self._end(lasting, "another series is watched", _now_ms())
            lasting = None
        reasons, told = self._reasons(beam.judged, judgement)
        self._now = reasons
        if lasting is None:
            self._gone, self._over, self._worst = {}, set(), {}
            if reasons:
                self._begin(beam, reasons)
        else:
            self._go_on(lasting, reasons, told)
        for reason in reasons.values():
            if reason.value is not None:
                worst = self._worst.get(reason.name, reason.value)
                self._worst[reason.name] = max(worst, reason.value)

    def _begin(self, beam: Beam, reasons: dict[str, Reason]) -> None:
        entry = entry_begin(
            beam.series,
            beam.channel,
            beam.judged.decision.value,
            reasons.values(),
            _now_ms(),
        )
        self._take(entry)
        text = "; ".join(reason.text for reason in reasons.values())
        log.warning("alarm", alarm=entry["alarm"], reason=text, series=beam.series)

    def _go_on(
        self, lasting: Alarm, reasons: dict[str, Reason], told: frozenset[str] | None
    ) -> None:
        """Renew a lasting alarm by new reasons, and end it once all are over."""
        had = {reason.name for reason in lasting.reasons} - self._over
        added = [reason for name, reason in reasons.items() if name not in had]
        if added:
            self._take(entry_reasons(lasting.id, added, _now_ms()))
            self._over -= {reason.name for reason in added}
            log.warning("alarm goes on", reason="; ".join(r.text for r in added))
        now_s, now_ms = self._clock(), _now_ms()
        for name in reasons:
            self._gone.pop(name, None)
        for name in had - reasons.keys():
            if told is None or name in told:
                since_s, _ = self._gone.setdefault(name, (now_s, now_ms))
                if now_s - since_s >= self._targets.hold_off_s:
                    self._over.add(name)
        if not added and had <= self._over:
            last_ms = max((ms for _, ms in self._gone.values()), default=now_ms)
            self._end(lasting, "nothing is wrong any more", last_ms)

    def _end(self, alarm: Alarm, text: str, ms: int) -> None:
        # What began before this process did has at least its first value.
        worst = {r.name: r.value for r in alarm.reasons if r.value is not None}
        for name, value in self._worst.items():
            worst[name] = max(value, worst.get(name, value))
        self._take(entry_end(alarm.id, text, worst, max(ms, alarm.began_ms)))
        self._gone, self._over, self._worst = {}, set(), {}
        log.info("alarm ended", alarm=alarm.id, reason=text)

    def _reasons(
        self, judged: Judged, judgement: Judgement
    ) -> tuple[dict[str, Reason], frozenset[str] | None]:
        """Return what is wrong now, and what is told about; None: about everything."""
        state, now_ms = judgement.state, _now_ms()
        found: dict[str, Reason] = {}
        if self._targets.source_alarm and state in _FAILING:
            text = f"{state.value}: {judgement.text or 'no frames come'}"
            found[SOURCE] = Reason(SOURCE, text, now_ms)
        if state in _COMING and judged.decision == Decision.NO_GO:
            for check in judged.checks:
                if check.held is False:
                    value = finite_or_none(check.value)
                    found[check.name] = Reason(
                        check.name, check.text, now_ms, value, check.limit
                    )
        unknown = judged.decision == Decision.UNKNOWN and judged.limited
        silent = state in _FAILING or (state in _COMING and unknown)
        return found, frozenset({SOURCE}) if silent else None

    # ---- the store ----

    def _take(self, entry: Entry) -> None:
        self._book.take(entry)
        if self._store is not None:
            self._waiting.append(entry)

    def _read(self) -> None:
        """Read what others wrote; without an answer what is known stays."""
        if self._store is None:
            return
        try:
            entries = self._store.read(self._after)
        except StoreError:
            return
        for position, entry in entries:
            self._book.take(entry)
            self._after = position
        self._ready = True

    def _write(self, failing: bool = False) -> None:
        """Give the store what it has not got yet."""
        while self._store is not None and self._waiting:
            try:
                self._store.append(self._waiting[0])
            except StoreError:
                if failing:
                    raise
                return
            self._waiting.popleft()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
