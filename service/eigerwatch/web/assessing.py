"""Assessments of stored series, made once for everyone who asks."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from eigerwatch.analysis.assessment import Assessment, AssessmentOptions, assess
from eigerwatch.analysis.events.model import Event
from eigerwatch.analysis.exclusion import Excluded
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.analysis.targets import Decision, Judged, judge
from eigerwatch.errors import StoreError, UnknownSeriesError
from eigerwatch.framecache import FrameCache
from eigerwatch.frames import Scope, SeriesFrames
from eigerwatch.runs import StoredRun, options_of
from eigerwatch.sections import AnalysisSettings, TargetSettings
from eigerwatch.store.info import SeriesInfo
from eigerwatch.web.reading import NoteStore, StoreReader

log = structlog.get_logger(__name__)

WHOLE = Scope()
KEPT = 24
"""Assessments kept at hand,"""
KEPT_FRAMES = 2_000_000
"""and of so many frames, each some 100 bytes,"""
LEAST_KEPT = 4
"""but those used last always: the series' and the beam's, which are asked for ever."""
RETRY_S = 5.0
"""Time after a failure before an assessment is tried again by itself [s]."""
KEPT_RUNS = 8
EDITS_S = 1.0
"""Time for which exclusions made by hand are not read again [s]."""
LEAST_S = 0.5
"""Least time between two assessments of a growing series [s]."""
LIVE_SHARE = 0.04
"""Part of a core that an assessment of a growing series may take."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An assessment, and what it is of."""

    assessment: Assessment
    judged: Judged
    newest: int
    """Highest frame number that was known; -1: none."""
    made_ms: float
    """When it was made, UTC epoch [ms]."""


@dataclass(slots=True)
class _Kept:
    content: Hashable
    answer: Answer
    at_s: float
    cost_s: float


def _is_due(known: _Kept) -> bool:
    """Return whether making an assessment again would stay within its share."""
    return time.monotonic() >= known.at_s + max(LEAST_S, known.cost_s / LIVE_SHARE)


class Assessor:
    """Judges runs by the frames in the store; thread-safe.

    Parameters
    ----------
    reader
        Of the store.
    frames
        Shared with all that shows frames.
    notes
        Where people exclude frames; None: nobody can.
    analysis, targets
        What holds for all runs.
    """

    def __init__(
        self,
        reader: StoreReader,
        frames: FrameCache,
        notes: NoteStore | None,
        analysis: AnalysisSettings,
        targets: TargetSettings,
    ) -> None:
        self.analysis = analysis
        self.targets = targets
        self._reader = reader
        self._frames = frames
        self._notes = notes
        self._lock = threading.Lock()
        self._runs: OrderedDict[tuple[str, str], StoredRun] = OrderedDict()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="assess")
        self._busy = False
        self._retry_s = 0.0
        self._making: dict[Hashable, Future[Answer]] = {}
        self._edits: dict[str, tuple[float, AssessmentOptions]] = {}

    def options(
        self, info: SeriesInfo, kinds: Sequence[str] | None = None, max_age_s: float = 0
    ) -> AssessmentOptions:
        """Return how a series is assessed, what people excluded included."""
        if self._notes is None:
            return options_of(self.analysis, (), kinds)
        known = self._edits.get(info.key)
        if known and kinds is None and time.monotonic() - known[0] < max_age_s:
            return known[1]
        found = options_of(self.analysis, self._notes.exclusions(info.key), kinds)
        if kinds is None:
            if len(self._edits) > 64:
                self._edits.clear()
            self._edits[info.key] = (time.monotonic(), found)
        return found

    def events(self, info: SeriesInfo, channel: str) -> list[Event]:
        """Return what happened in a series so far."""
        return self._run(info, channel).events(info)

    def measured(
        self, info: SeriesInfo, channel: str, scope: Scope, *, regions: bool = False
    ) -> Measured:
        """Return the stored frames of a scope."""
        frames = self._frames.get(info, channel)
        run = self._run_of(frames)
        start, stop = frames.bounds(scope)
        return run.measured(info, start, stop, regions=regions)

    def excluded(
        self, info: SeriesInfo, channel: str, positions: np.ndarray
    ) -> Excluded:
        """Return which frames of a series do not count."""
        options = self.options(info, max_age_s=EDITS_S)
        events = self.events(info, channel)
        return options.exclusions.apply(positions, events, info.frame_time_s)

    def assess(
        self,
        info: SeriesInfo,
        channel: str,
        scope: Scope,
        kinds: Sequence[str] | None = None,
    ) -> Answer:
        """Judge the frames of a scope as they are now.

        Parameters
        ----------
        kinds
            Kinds of events whose frames do not count; None: those of the settings.
        """
        return self._assess(info, channel, scope, kinds, live=False)

    def assess_live(self, info: SeriesInfo, channel: str, scope: Scope) -> Answer:
        """Judge the frames of a scope, some time ago at most.

        Not more often than `LIVE_SHARE` of a core allows.
        """
        return self._assess(info, channel, scope, None, live=True)

    def assess_soon(self, info: SeriesInfo, channel: str) -> Answer | None:
        """Return the newest assessment of a whole series; None: not made yet.

        A newer one is made meanwhile, by a thread, so that nobody waits for it.
        """
        known = self._known((info.key, channel, WHOLE, None))
        due = _is_due(known) if known else time.monotonic() >= self._retry_s
        with self._lock:
            mine = due and not self._busy
            self._busy |= mine
        if mine:  # without the lock: what is done already calls back at once
            made = self._worker.submit(self._make, info, channel)
            made.add_done_callback(self._made)
        return None if known is None else known.answer

    def close(self) -> None:
        """End the thread, without waiting for what it does."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _make(self, info: SeriesInfo, channel: str) -> None:
        self._assess(info, channel, WHOLE, None, live=True)

    def _made(self, future: Future[None]) -> None:
        with self._lock:
            self._busy = False
        problem = None if future.cancelled() else future.exception()
        if problem is None:
            return
        self._retry_s = time.monotonic() + RETRY_S
        if not isinstance(problem, StoreError | UnknownSeriesError):
            log.error("assessment failed", exc_info=problem)

    def _assess(
        self,
        info: SeriesInfo,
        channel: str,
        scope: Scope,
        kinds: Sequence[str] | None,
        live: bool,
    ) -> Answer:
        frames = self._frames.get(info, channel)
        asked = (info.key, channel, scope, None if kinds is None else tuple(kinds))
        while True:
            known = self._known(asked)
            if known and live and not _is_due(known):
                return known.answer
            options = self.options(info, kinds)
            content = (frames.number, frames.version, options)
            if known and known.content == content:
                known.at_s = time.monotonic()
                return known.answer
            with self._lock:
                others = self._making.get(asked)
                ours: Future[Answer] = Future()
                if others is None:
                    self._making[asked] = ours
            if others is None:
                return self._judge(ours, asked, info, frames, options, content)
            # Somebody makes it already; one that must be exact then looks again.
            answer = others.result()
            if live:
                return answer

    def _judge(
        self,
        future: Future[Answer],
        asked: tuple[str, str, Scope, tuple[str, ...] | None],
        info: SeriesInfo,
        frames: SeriesFrames,
        options: AssessmentOptions,
        content: Hashable,
    ) -> Answer:
        """Make an assessment, keep it, and give it to those who wait for it."""
        try:
            begin_s = time.thread_time()
            run = self._run_of(frames)
            start, stop = frames.bounds(asked[2])
            measured = run.measured(info, start, stop)
            found = assess(measured, options, events=run.events(info))
            answer = Answer(
                found, judge(found, self.targets), stop - 1, time.time() * 1000
            )
            cost_s = time.thread_time() - begin_s
            with self._lock:
                self._kept[asked] = _Kept(content, answer, time.monotonic(), cost_s)
                self._kept.move_to_end(asked)
                self._forget()
            future.set_result(answer)
            return answer
        except BaseException as exc:
            future.set_exception(exc)
            raise
        finally:
            with self._lock:
                del self._making[asked]

    def _known(self, asked: Hashable) -> _Kept | None:
        with self._lock:
            known = self._kept.get(asked)
            if known is not None:
                self._kept.move_to_end(asked)
            return known

    def _forget(self) -> None:
        frames = sum(k.answer.assessment.measured.n for k in self._kept.values())
        while len(self._kept) > LEAST_KEPT and (
            len(self._kept) > KEPT or frames > KEPT_FRAMES
        ):
            _, gone = self._kept.popitem(last=False)
            frames -= gone.answer.assessment.measured.n

    def _run(self, info: SeriesInfo, channel: str) -> StoredRun:
        return self._run_of(self._frames.get(info, channel))

    def _run_of(self, frames: SeriesFrames) -> StoredRun:
        key = (frames.series, frames.channel)
        with self._lock:
            run = self._runs.pop(key, None)
            if run is None or run.frames is not frames:
                run = StoredRun(self._reader, frames)
            self._runs[key] = run
            while len(self._runs) > KEPT_RUNS:
                self._runs.popitem(last=False)
        return run


def summary(answer: Answer) -> dict[str, Any]:
    """Return the figures of an assessment that stand on a wall screen.

    Without beam a CV says nothing, and there is none.
    """
    found = answer.assessment
    told = _with_beam(found)
    if answer.judged.decision == Decision.NO_BEAM:
        told = dict.fromkeys(told)
        told |= {"verdict": "no_beam", "verdict_text": answer.judged.text}
    return {
        **told,
        "newest": answer.newest,
        "made": answer.made_ms,
        "usage": found.excluded.usage.as_dict(),
        "excluded": sum(found.excluded.usage.excluded.values()),
        "usage_text": str(found.excluded.usage),
        "mean": finite_or_none(found.detrended.mean),
        "drift_percent": finite_or_none(found.drift.rise_percent),
        "drift_error_percent": finite_or_none(found.drift.rise_percent_error),
        "line_percent": finite_or_none(found.strongest_line_percent),
        "events": len(found.events),
        "judged": {**answer.judged.as_dict(), "limited": answer.judged.limited},
    }


def _with_beam(found: Assessment) -> dict[str, Any]:
    return {
        "cv_percent": finite_or_none(found.detrended.cv_percent),
        "cv_interval": found.uncertainty.cv_detrended.as_dict(),
        **found.shot.as_dict(),
        "cv_beam_interval": found.uncertainty.cv_beam.as_dict(),
        "verdict": found.judgement.verdict,
        "verdict_text": found.judgement.reason,
    }
