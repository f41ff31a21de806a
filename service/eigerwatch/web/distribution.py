"""Route of the histogram: how often each intensity occurs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from eigerwatch.analysis.detrending import detrended
from eigerwatch.analysis.histogram import histogram
from eigerwatch.analysis.segments import boundaries, segments
from eigerwatch.web import schemas
from eigerwatch.web.assessing import Assessor
from eigerwatch.web.parameters import (
    PROBLEMS,
    Channel,
    From,
    Last,
    RegionName,
    SeriesKey,
    To,
    UnitName,
    resolved,
    resolved_region,
    scope_of,
)
from eigerwatch.web.watch import Watch


def create_router(watch: Watch, assessor: Assessor) -> APIRouter:
    """Return the routes; all of them only read."""
    router = APIRouter(prefix="/api/v1/series/{series}", responses=PROBLEMS)

    @router.get("/histogram", tags=["statistics"])
    def distribution(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        last: Last = None,
        seconds: Annotated[
            float | None, Query(gt=0, lt=2**40, allow_inf_nan=False)
        ] = None,
        region: RegionName = None,
        unit: UnitName = "normalised",
    ) -> schemas.Histogram:
        """Return how many frames have which intensity, raw and detrended.

        Detrended by one line for each stretch between top-ups and steps. Beside it
        the curve of pure photon counting: normal, of standard deviation sqrt(mean),
        of the same area.
        """
        scope = scope_of(start, stop, last, seconds)
        info, channel = resolved(watch, series, channel)
        part = resolved_region(info, region)
        selected = watch.ticks.frames.get(info, channel, part).select(scope)
        positions = selected.positions
        excluded = assessor.excluded(info, channel, positions)
        stretches = segments(positions, assessor.events(info, channel), excluded.mask)
        totals = selected.totals[~excluded.mask]
        rest = detrended(totals, positions[~excluded.mask], boundaries(stretches))
        found = histogram(totals, rest.residuals, unit)
        return schemas.Histogram(
            series=info.key,
            channel=channel,
            region=None if part is None else part.name,
            scope=scope.kind,
            excluded=sum(excluded.usage.excluded.values()),
            usage_text=str(excluded.usage),
            **found.as_dict(),
        )

    return router
