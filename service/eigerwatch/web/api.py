"""REST under /api/v1: series, frames, statistics, events, downloads, status."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Response
from starlette.websockets import WebSocket

from eigerwatch.analysis import decimate
from eigerwatch.model import FRAME_RECORD
from eigerwatch.web import describing, schemas
from eigerwatch.web.live import LiveHub
from eigerwatch.web.messages import ViewMessage
from eigerwatch.web.parameters import (
    BINARY,
    PROBLEMS,
    TICK,
    Channel,
    From,
    Last,
    Px,
    RegionName,
    Seconds,
    SeriesKey,
    To,
    UnitName,
    clipped_range,
    resolved,
    resolved_region,
    scope_of,
)
from eigerwatch.web.security import same_origin
from eigerwatch.web.ticks import View, points_for
from eigerwatch.web.watch import EVENT_LIMIT, Watch

MAX_SERIES = 1000
COLUMNS = tuple(name for name in FRAME_RECORD.names or () if name != "reserved")


def create_router(watch: Watch, hub: LiveHub) -> APIRouter:
    """Return the routes; all of them only read."""
    router = APIRouter(prefix="/api/v1", responses=PROBLEMS)

    @router.get("/series", tags=["series"])
    def list_series(
        limit: Annotated[int, Query(ge=1, le=MAX_SERIES)] = 100,
        offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> schemas.SeriesList:
        """Return the series, newest first."""
        found = watch.reader.series(offset + limit + 1)
        page = found[offset : offset + limit]
        return schemas.SeriesList(
            series=[describing.series(info, watch) for info in page],
            offset=offset,
            more=len(found) > offset + limit,
        )

    @router.get("/series/{series}", tags=["series"])
    def series_detail(series: SeriesKey) -> schemas.SeriesDetail:
        """Return everything known about one series."""
        return describing.series_detail(watch.reader.info(series), watch)

    @router.get("/series/{series}/frames", tags=["frames"])
    def frames(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        last: Last = None,
        columns: Annotated[
            str, Query(description=f"Comma-separated: {', '.join(COLUMNS)}.")
        ] = "total",
        max_points: Annotated[int, Query(ge=8, le=10_000)] = 4000,
    ) -> schemas.Frames:
        """Return frame records; ranges with more frames than `max_points` decimated.

        Decimation keeps the smallest and the largest total of every bin, so no
        single frame's dip is lost.
        """
        wanted = [name.strip() for name in columns.split(",") if name.strip()]
        unknown = sorted(set(wanted) - set(COLUMNS))
        if unknown or not wanted:
            text = f"no column {unknown[0]!r}" if unknown else "no column named"
            raise HTTPException(400, f"{text}; there are {', '.join(COLUMNS)}")
        if last is not None and (start is not None or stop is not None):
            raise HTTPException(400, "give either from/to or last, not both")
        info, channel = resolved(watch, series, channel)
        cached = watch.ticks.frames.get(info, channel)
        if last is not None:
            start = max(0, cached.n - last)
        start, stop = clipped_range(start, stop, cached.n)
        totals, stored = cached.span(start, stop)
        shown = decimate.envelope(start, totals, stored, max_points)
        numbers = shown.frames[~np.isnan(shown.values)].astype(np.int64)
        rows = _rows(watch, info.key, channel, numbers, stop)
        return schemas.Frames(
            series=info.key,
            channel=channel,
            start=start,
            stop=stop,
            decimated=shown.bin_width > 1,
            bin=shown.bin_width,
            frames=numbers.tolist(),
            columns={name: _column(rows[name]) for name in wanted},
        )

    @router.get(
        "/series/{series}/trace",
        tags=["frames"],
        response_class=Response,
        responses=TICK,
    )
    def trace(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        px: Px = 1600,
        region: RegionName = None,
        unit: UnitName = "normalised",
    ) -> Response:
        """Return a range as one binary tick, as the live WebSocket sends it."""
        info, channel = resolved(watch, series, channel)
        highest = info.ledgers[channel].highest if channel in info.ledgers else -1
        start, stop_given = clipped_range(start, stop, highest + 1)[0], stop
        part = resolved_region(info, region)
        view = View(
            info.key,
            channel,
            start,
            stop_given,
            points_for(px),
            region=part,
            unit=unit,
        )
        return Response(watch.tick(view, info).data, media_type=BINARY)

    @router.get("/series/{series}/statistics", tags=["statistics"])
    def statistics(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        last: Last = None,
        seconds: Seconds = None,
        region: RegionName = None,
    ) -> schemas.Statistics:
        """Return the statistics of a selection, raw and detrended.

        The whole series, the frames [from, to), the `last` frames, or those of the
        last `seconds`.
        """
        scope = scope_of(start, stop, last, seconds)
        info, channel = resolved(watch, series, channel)
        part = resolved_region(info, region)
        description = watch.ticks.describe(info, channel, scope, part)
        return describing.statistics(
            info.key, channel, scope.kind, description, part.name if part else None
        )

    @router.get("/series/{series}/events", tags=["events"])
    def events(
        series: SeriesKey,
        after: Annotated[
            str, Query(max_length=64, pattern=r"^(-|[0-9]+(-[0-9]+)?)$")
        ] = "-",
        limit: Annotated[int, Query(ge=1, le=10_000)] = EVENT_LIMIT,
    ) -> schemas.Events:
        """Return what happened in a series, oldest first."""
        watch.reader.info(series)
        found = watch.reader.events(series, after=after, limit=limit)
        return describing.events(series, found)

    @router.get("/status", tags=["status"])
    def status() -> schemas.Status:
        """Return what the source, the consumer and the store are doing."""
        situation = watch.look()
        message = hub.state_message(situation)
        return describing.status(situation, message, hub.n_clients)

    @router.get(
        "/tick",
        tags=["live"],
        response_class=Response,
        responses={**TICK, 204: {"description": "Nothing newer."}},
    )
    def newest_tick(
        since: Annotated[int, Query(ge=0, description="``seq`` of the last one.")] = 0,
        series: Annotated[str, Query(max_length=256)] = "live",
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        px: Px = 1600,
        scope: Literal["whole", "frames", "seconds", "range"] = "whole",
        window: Annotated[float, Query(gt=0, lt=2**40, allow_inf_nan=False)] = 10_000,
        region: RegionName = None,
        unit: UnitName = "normalised",
    ) -> Response:
        """Return the newest tick: the live WebSocket's bytes, for polling."""
        wanted = ViewMessage.model_validate(
            {
                "from": start,
                "to": stop,
                "px": px,
                "scope": scope,
                "window": window,
                "unit": unit,
            }
        )
        info, channel = resolved(watch, series, channel)
        part = resolved_region(info, region)
        built = watch.tick(wanted.view(info.key, channel, part), info)
        if built.seq == since:
            return Response(status_code=204)
        return Response(built.data, media_type=BINARY)

    @router.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        if not same_origin(websocket.headers, hub.allowed_hosts):
            await websocket.close(1008, "this page may not connect here")
            return
        await hub.serve(websocket)

    return router


def _rows(
    watch: Watch, series: str, channel: str, numbers: np.ndarray, stop: int
) -> np.ndarray:
    """Return the records of some frames, read piece by piece."""
    rows = np.zeros(len(numbers), FRAME_RECORD)
    piece = 10_000
    for k in np.unique(numbers // piece).tolist():
        first = k * piece
        read = watch.reader.rows(series, channel, first, min(first + piece, stop))
        here = (numbers // piece == k) & (numbers - first < len(read))
        rows[here] = read[numbers[here] - first]
    return rows


def _column(values: np.ndarray) -> list[int | str]:
    numbers: list[int] = values.tolist()
    return [str(n) for n in numbers] if values.dtype.itemsize == 8 else [*numbers]
