"""Results as files: the origin's table, the frames, the plot."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse, Response, StreamingResponse

from eigerwatch.export.files import table_csv
from eigerwatch.export.plot import plot_html
from eigerwatch.filing import frame_lines
from eigerwatch.frames import Region, Scope
from eigerwatch.runs import facts_of
from eigerwatch.web.parameters import (
    PROBLEMS,
    Channel,
    From,
    RegionName,
    SeriesKey,
    To,
    attachment,
    clipped_range,
    resolved,
    resolved_region,
)
from eigerwatch.web.watch import Watch


def create_router(watch: Watch) -> APIRouter:
    """Return the routes that answer with a file."""
    router = APIRouter(
        prefix="/api/v1/series/{series}", tags=["downloads"], responses=PROBLEMS
    )

    @router.get(
        "/download.csv",
        response_class=Response,
        responses={200: {"content": {"text/csv": {}}}},
    )
    def download_csv(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        content: Annotated[Literal["table", "frames"], Query()] = "table",
        region: RegionName = None,
    ) -> Response:
        """Return the statistics table, or one line per frame, as CSV.

        Frames are numbered from 1 in the file, as the origin does. Those of all regions
        at once stand in the NeXus file.
        """
        info, channel = resolved(watch, series, channel)
        place = resolved_region(info, region)
        n = info.ledgers[channel].highest + 1 if channel in info.ledgers else 0
        start, stop = clipped_range(start, stop, n)
        headers = attachment(_named(info.key, channel, place), f"{content}.csv")
        if content == "table":
            scope = Scope("range", start=start, stop=stop)
            text = table_csv(watch.ticks.describe(info, channel, scope, place))
            return Response(text, media_type="text/csv", headers=headers)
        frames = watch.ticks.frames.get(info, channel, place)
        lines = frame_lines(watch.reader, frames, info.key, start, stop)
        return StreamingResponse(lines, media_type="text/csv", headers=headers)

    @router.get(
        "/download.html",
        response_class=HTMLResponse,
        responses={200: {"content": {"text/html": {}}}},
    )
    def download_html(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        region: RegionName = None,
    ) -> Response:
        """Return a page with the plot and the table that works without network."""
        info, channel = resolved(watch, series, channel)
        place = resolved_region(info, region)
        frames = watch.ticks.frames.get(info, channel, place)
        start, stop = clipped_range(start, stop, frames.n)
        totals, stored = frames.span(start, stop)
        scope = Scope("range", start=start, stop=stop)
        page = plot_html(
            totals,
            stored,
            title=" ".join((info.key, channel, *([place.name] if place else []))),
            settings=dict(facts_of(info, channel)),
            first_frame=start + 1,
            description=watch.ticks.describe(info, channel, scope, place),
        )
        headers = attachment(_named(info.key, channel, place), "plot.html")
        return HTMLResponse(page, headers=headers)

    return router


def _named(series: str, channel: str, region: Region | None) -> str:
    return "_".join((series, channel, *([region.name] if region else [])))
