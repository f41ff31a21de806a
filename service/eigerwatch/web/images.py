"""What a series' images look like: the newest preview, and the regions' sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, HTTPException, Response

from eigerwatch.model import FrameFlag
from eigerwatch.store.info import SeriesInfo, json_of
from eigerwatch.web import schemas
from eigerwatch.web.parameters import (
    PROBLEMS,
    Channel,
    From,
    Last,
    SeriesKey,
    To,
    clipped_range,
    resolved,
)
from eigerwatch.web.watch import Watch

PNG = "image/png"
MOST_FRAMES = 100_000
"""Frames whose regions are summed in one answer."""
_PIECE = 10_000


def create_router(watch: Watch) -> APIRouter:
    """Return the routes; all of them only read."""
    router = APIRouter(prefix="/api/v1/series/{series}", responses=PROBLEMS)

    @router.get(
        "/preview",
        tags=["images"],
        response_class=Response,
        responses={200: {"content": {PNG: {}}, "description": "The image."}},
    )
    def preview(series: SeriesKey, channel: Channel = None) -> Response:
        """Return the newest preview image: binned, logarithmic, masked transparent.

        Its text ``eigerwatch`` says in JSON which frame it is, the image's shape,
        the pixels per square and axis, and the mean of the brightest square.
        """
        info, channel = resolved(watch, series, channel)
        image = watch.reader.preview(info.key, channel)
        if image is None:
            raise HTTPException(404, f"{info.key} has no preview of {channel}")
        return Response(image, media_type=PNG)

    @router.get("/regions", tags=["images"])
    def regions(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        last: Last = None,
    ) -> schemas.Regions:
        """Return the regions, and their means over a range of frames.

        The frames [from, to), or the `last` ones; by default the last 1000. Only
        frames counted with the newest settings are used.
        """
        if last is not None and (start is not None or stop is not None):
            raise HTTPException(400, "give from/to or last, not both")
        info, channel = resolved(watch, series, channel)
        n = info.ledgers[channel].highest + 1 if channel in info.ledgers else 0
        if start is None and stop is None:
            start = max(0, n - (last or 1000))
        first, end = clipped_range(start, stop, n)
        if end - first > MOST_FRAMES:
            raise HTTPException(
                400, f"{end - first} frames; at most {MOST_FRAMES} in one answer"
            )
        return _regions(watch, info, channel, first, end)

    return router


def _regions(
    watch: Watch, info: SeriesInfo, channel: str, first: int, end: int
) -> schemas.Regions:
    versions = _versions(info)
    numbers: list[int] = []
    pieces = []
    for start in range(first, end, _PIECE):
        stop = min(start + _PIECE, end)
        rows = watch.reader.rows(info.key, channel, start, stop)
        table = watch.reader.region_rows(info.key, channel, start, stop)
        stored = rows["flags"] & np.uint16(FrameFlag.STORED) != 0
        numbers += np.unique(rows["settings"][stored]).tolist()
        pieces.append((rows, stored, table))
    newest = max(numbers, default=max(versions, default=0))
    described = versions.get(newest, [])
    sums = np.zeros((3, len(described)))
    frames = 0
    for rows, stored, table in pieces:
        used = stored[: len(table)] & (rows["settings"][: len(table)] == newest)
        shown = table[used][:, : len(described)]
        frames += int(used.sum())
        for row, name in enumerate(("total", "kept", "sentinel")):
            sums[row, : shown.shape[1]] += shown[name].sum(axis=0, dtype=np.float64)
    means = (sums / frames).T.tolist() if frames else [[None] * 3] * len(described)
    return schemas.Regions(
        series=info.key,
        channel=channel,
        start=first,
        stop=end,
        frames=frames,
        settings=newest,
        regions=[
            schemas.Region(
                name=str(region.get("name", "")),
                shape={k: v for k, v in region.items() if k not in ("name", "pixels")},
                pixels=_whole(region.get("pixels")),
                mean_total=total,
                mean_kept=kept,
                mean_sentinel=sentinel,
            )
            for region, (total, kept, sentinel) in zip(described, means, strict=True)
        ],
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0


def _versions(info: SeriesInfo) -> dict[int, list[dict[str, Any]]]:
    """Return the regions of each settings version, as stored."""
    found = {}
    for version in json_of(info.meta.get("settings"), list) or []:
        if isinstance(version, dict) and isinstance(version.get("number"), int):
            regions = version.get("regions")
            regions = regions if isinstance(regions, list) else []
            found[version["number"]] = [r for r in regions if isinstance(r, dict)]
    return found
