"""Parameters and problems that several routes share."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import HTTPException, Path, Query

from eigerwatch.errors import UnknownRegionError
from eigerwatch.frames import Region, Scope
from eigerwatch.store.info import SeriesInfo
from eigerwatch.web import schemas
from eigerwatch.web.regional import region_of
from eigerwatch.web.ticks import Unit
from eigerwatch.web.watch import Watch

BINARY = "application/octet-stream"

SeriesKey = Annotated[str, Path(description="Series key, e.g. ``live:01J…``.")]
Channel = Annotated[
    str | None, Query(description="Channel; by default the series' first.")
]
RegionName = Annotated[
    str | None,
    Query(
        max_length=256,
        description="Name or place of a region, whose counts are then meant; by "
        "default the whole image.",
    ),
]
UnitName = Annotated[
    Unit, Query(description="Of the values: parts of their mean, or counts per frame.")
]
From = Annotated[
    int | None, Query(alias="from", ge=0, lt=2**40, description="First frame.")
]
To = Annotated[
    int | None,
    Query(alias="to", ge=0, lt=2**40, description="First frame after the range."),
]
Last = Annotated[
    int | None, Query(ge=1, lt=2**40, description="The newest so many frames.")
]
Seconds = Annotated[
    float | None,
    Query(
        gt=0,
        lt=2**40,
        allow_inf_nan=False,
        description="The frames of the last so many seconds.",
    ),
]
Px = Annotated[int, Query(ge=1, le=20_000, description="Width of the plot [pixels].")]

PROBLEMS: dict[int | str, dict[str, object]] = {
    400: {"model": schemas.Problem, "description": "The parameters contradict."},
    404: {
        "model": schemas.Problem,
        "description": "No such series, channel or region.",
    },
    503: {"model": schemas.Problem, "description": "The store does not answer."},
}
TICK: dict[int | str, dict[str, object]] = {
    200: {
        "content": {BINARY: {}},
        "description": "One tick; the beginning of this page says how it is laid out.",
    },
}


def resolved(watch: Watch, series: str, channel: str | None) -> tuple[SeriesInfo, str]:
    """Return the series and channel meant, or answer 404."""
    try:
        return watch.resolve(series, channel)
    except LookupError as exc:
        raise HTTPException(404, str(exc.args[0])) from exc


def resolved_region(info: SeriesInfo, wanted: str | None) -> Region | None:
    """Return the region meant, None for the whole image, or answer 404."""
    try:
        return region_of(info, wanted)
    except UnknownRegionError as exc:
        raise HTTPException(404, str(exc), {"X-Refused": "region"}) from exc


def clipped_range(start: int | None, stop: int | None, n: int) -> tuple[int, int]:
    """Return the range [start, stop) clipped to the n frames that there are."""
    if start is not None and stop is not None and stop < start:
        raise HTTPException(400, f"the range ends at {stop}, before its start {start}")
    last = n if stop is None else min(stop, n)
    return min(start or 0, last), last


def scope_of(
    start: int | None, stop: int | None, last: int | None, seconds: float | None
) -> Scope:
    """Return the selection meant; at most one of range, last and seconds is given."""
    ranged = start is not None or stop is not None
    if ranged + (last is not None) + (seconds is not None) > 1:
        raise HTTPException(400, "give one of from/to, last and seconds, not several")
    if last is not None:
        return Scope("frames", last=last)
    if seconds is not None:
        return Scope("seconds", last=seconds)
    if ranged:
        clipped_range(start, stop, 0)
        return Scope("range", start=start or 0, stop=stop)
    return Scope()


def attachment(name: str, suffix: str) -> dict[str, str]:
    """Return the header of an answer that the browser keeps as a file."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:120]
    return {"Content-Disposition": f'attachment; filename="{safe}_{suffix}"'}
