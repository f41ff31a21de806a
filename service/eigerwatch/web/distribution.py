"""Route of the histogram: how often each intensity occurs."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query

from eigerwatch.analysis.detrending import detrended
from eigerwatch.analysis.histogram import histogram
from eigerwatch.analysis.segments import boundaries, segments
from eigerwatch.frames import Region, Scope
from eigerwatch.store.info import SeriesInfo
from eigerwatch.web import schemas
from eigerwatch.web.assessing import LEAST_S, LIVE_SHARE, Assessor
from eigerwatch.web.parameters import (
    PROBLEMS,
    Channel,
    From,
    Last,
    RegionName,
    Seconds,
    SeriesKey,
    To,
    UnitName,
    resolved,
    resolved_region,
    scope_of,
)
from eigerwatch.web.ticks import Unit
from eigerwatch.web.watch import Watch

KEPT = 32
"""Histograms kept at hand; a few kB each."""


def create_router(watch: Watch, assessor: Assessor) -> APIRouter:
    """Return the routes; all of them only read."""
    router = APIRouter(prefix="/api/v1/series/{series}", responses=PROBLEMS)
    histograms = Histograms(watch, assessor)

    @router.get("/histogram", tags=["statistics"])
    def distribution(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        last: Last = None,
        seconds: Seconds = None,
        region: RegionName = None,
        unit: UnitName = "normalised",
        recent: Annotated[
            bool,
            Query(
                description="An answer some seconds old will do: of a series that "
                "grows, it is not made anew for everyone who asks."
            ),
        ] = False,
    ) -> schemas.Histogram:
        """Return how many frames have which intensity, raw and detrended.

        Detrended by one line for each stretch between top-ups and steps. Beside it
        the curve of pure photon counting: normal, of standard deviation sqrt(mean),
        of the same area.
        """
        scope = scope_of(start, stop, last, seconds)
        info, channel = resolved(watch, series, channel)
        asked = _Asked(info.key, channel, resolved_region(info, region), scope, unit)
        return histograms.get(info, asked, recent=recent)

    return router


@dataclass(frozen=True, slots=True)
class _Asked:
    series: str
    channel: str
    region: Region | None
    scope: Scope
    unit: Unit


@dataclass(frozen=True, slots=True)
class _Kept:
    content: Hashable
    answer: schemas.Histogram
    due_s: float
    """When it may be made anew, were the series to grow."""


class Histograms:
    """Histograms made once for everyone who asks; thread-safe."""

    def __init__(self, watch: Watch, assessor: Assessor) -> None:
        self._watch = watch
        self._assessor = assessor
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Asked, _Kept] = OrderedDict()

    def get(
        self, info: SeriesInfo, asked: _Asked, *, recent: bool = False
    ) -> schemas.Histogram:
        """Return a histogram; `recent`: of a growing series a few seconds ago."""
        # Before waiting for others that are made, and after.
        if recent and (known := self._not_due(asked)):
            return known.answer
        frames = self._watch.ticks.frames.get(info, asked.channel, asked.region)
        with self._lock:
            if recent and (known := self._not_due(asked)):
                return known.answer
            known = self._kept.get(asked)
            version = frames.number, frames.version
            begin_s = time.thread_time()
            selected = frames.select(asked.scope)
            positions = selected.positions
            excluded = self._assessor.excluded(info, asked.channel, positions)
            content = version, excluded.intervals
            if known is None or known.content != content:
                used = ~excluded.mask
                events = self._assessor.events(info, asked.channel)
                stretches = segments(positions, events, excluded.mask)
                totals = selected.totals[used]
                rest = detrended(totals, positions[used], boundaries(stretches))
                found = histogram(totals, rest.residuals, asked.unit)
                answer = schemas.Histogram(
                    series=asked.series,
                    channel=asked.channel,
                    region=None if asked.region is None else asked.region.name,
                    scope=asked.scope.kind,
                    excluded=sum(excluded.usage.excluded.values()),
                    usage_text=str(excluded.usage),
                    **found.as_dict(),
                )
                cost_s = time.thread_time() - begin_s
                due_s = time.monotonic() + max(LEAST_S, cost_s / LIVE_SHARE)
                known = _Kept(content, answer, due_s)
            self._kept[asked] = known
            self._kept.move_to_end(asked)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return known.answer

    def _not_due(self, asked: _Asked) -> _Kept | None:
        """Return what was made some seconds ago, where that will do."""
        known = self._kept.get(asked)
        return known if known and time.monotonic() < known.due_s else None
