"""What a series' images look like: the newest preview, and the regions' sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Response

from eigerwatch.analysis.statistics import finite_or_none
from eigerwatch.model import FrameFlag
from eigerwatch.runs import described_regions
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
from eigerwatch.web.pictured import read_facts
from eigerwatch.web.watch import Watch

PNG = "image/png"
MOST_FRAMES = 100_000
"""Frames whose regions are summed in one answer."""
FEWEST_MODULES = 4
"""With fewer, none can be told to stand out among them."""
STANDS_OUT = 5.0
"""Standard deviations of the modules' changes by which one of them stands out."""
LEAST_CHANGE_PERCENT = 1.0
"""And by how much at least."""
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

    @router.get("/preview/facts", tags=["images"])
    def preview_facts(series: SeriesKey, channel: Channel = None) -> schemas.Preview:
        """Return which frame the newest preview shows, and what it covers."""
        info, channel = resolved(watch, series, channel)
        image = watch.reader.preview(info.key, channel)
        found = None if image is None else read_facts(image)
        return schemas.Preview(
            series=info.key,
            channel=channel,
            image_id=found and found.image_id,
            received_ms=found and found.received_ms,
            covers=list(found.covers) if found else None,
        )

    @router.get("/regions", tags=["images"])
    def regions(
        series: SeriesKey,
        channel: Channel = None,
        start: From = None,
        stop: To = None,
        last: Last = None,
        against: Annotated[
            int | None,
            Query(
                ge=1,
                le=MOST_FRAMES,
                description="Tell changes against so many of the first frames.",
            ),
        ] = None,
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
        meant = _newest_version(watch, info, channel, first, end)
        sums = _sums(watch, info, channel, first, end, meant)
        before = None
        if against is not None:
            began = _began(info, meant)
            upto = min(began + against, first)
            before = _sums(watch, info, channel, began, upto, meant)
        return _regions(info, channel, (first, end), meant, sums, before)

    return router


@dataclass(frozen=True, slots=True)
class _Meant:
    """The regions of one settings version."""

    number: int
    described: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class _Sums:
    """What regions counted over a range of frames."""

    regions: np.ndarray
    """(3, regions): totals, kept and sentinel pixels."""
    total: float
    """Of the whole frames."""
    frames: int
    first: int | None
    last: int | None


def _newest_version(
    watch: Watch, info: SeriesInfo, channel: str, first: int, end: int
) -> _Meant:
    versions = described_regions(info)
    numbers: list[int] = []
    for start in range(first, end, _PIECE):
        rows = watch.reader.rows(info.key, channel, start, min(start + _PIECE, end))
        numbers += np.unique(rows["settings"][_stored(rows)]).tolist()
    newest = max(numbers, default=max(versions, default=0))
    return _Meant(newest, versions.get(newest, ()))


def _began(info: SeriesInfo, meant: _Meant) -> int:
    """Return the first frame that a settings version was meant for."""
    for version in json_of(info.meta.get("settings"), list) or []:
        if isinstance(version, dict) and version.get("number") == meant.number:
            return _whole(version.get("from_image_id"))
    return 0


def _stored(rows: np.ndarray) -> np.ndarray:
    stored: np.ndarray = rows["flags"] & np.uint16(FrameFlag.STORED) != 0
    return stored


def _sums(
    watch: Watch, info: SeriesInfo, channel: str, first: int, end: int, meant: _Meant
) -> _Sums:
    sums = np.zeros((3, len(meant.described)))
    total = 0.0
    numbers: list[np.ndarray] = []
    for start in range(first, end, _PIECE):
        stop = min(start + _PIECE, end)
        rows = watch.reader.rows(info.key, channel, start, stop)
        table = watch.reader.region_rows(info.key, channel, start, stop)
        rows = rows[: len(table)]
        used = _stored(rows) & (rows["settings"] == meant.number)
        shown = table[: len(rows)][used][:, : len(meant.described)]
        total += float(rows["total"][used].sum(dtype=np.float64))
        numbers.append(start + np.flatnonzero(used))
        for row, name in enumerate(("total", "kept", "sentinel")):
            sums[row, : shown.shape[1]] += shown[name].sum(axis=0, dtype=np.float64)
    every = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
    ends = (int(every[0]), int(every[-1])) if every.size else (None, None)
    return _Sums(sums, total, int(every.size), *ends)


def _regions(
    info: SeriesInfo,
    channel: str,
    span: tuple[int, int],
    meant: _Meant,
    now: _Sums,
    before: _Sums | None,
) -> schemas.Regions:
    unknown: list[list[float | None]] = [[None] * 3] * len(meant.described)
    means = (now.regions / now.frames).T.tolist() if now.frames else unknown
    modules = np.array([bool(r.get("module")) for r in meant.described], np.bool_)
    changes, errors, deviates = _changes(now, before, modules)
    compared = None
    if before is not None and before.first is not None and before.last is not None:
        compared = [before.first, before.last]
    return schemas.Regions(
        series=info.key,
        channel=channel,
        start=span[0],
        stop=span[1],
        frames=now.frames,
        settings=meant.number,
        image=list(info.shape) if info.shape else None,
        compared=compared,
        regions=[
            schemas.Region(
                name=str(region.get("name", "")),
                shape={k: v for k, v in region.items() if k not in ("name", "pixels")},
                pixels=_whole(region.get("pixels")),
                mean_total=total,
                mean_kept=kept,
                mean_sentinel=sentinel,
                change_percent=finite_or_none(changes[k]),
                change_error_percent=finite_or_none(errors[k]),
                deviates=bool(deviates[k]),
            )
            for k, (region, (total, kept, sentinel)) in enumerate(
                zip(meant.described, means, strict=True)
            )
        ],
    )


def _changes(
    now: _Sums, before: _Sums | None, modules: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the changes of the regions' shares [%], errors, and which stand out.

    A module stands out among the modules, as all change where the beam moves.
    """
    nothing = np.full(modules.size, np.nan)
    no = np.zeros(modules.size, np.bool_)
    if before is None or not (now.total > 0 and before.total > 0):
        return nothing, nothing, no
    counts, was = now.regions[0], before.regions[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        changes = 100 * ((counts / now.total) / (was / before.total) - 1)
        errors = 100 * np.sqrt(1 / counts + 1 / was) * (1 + changes / 100)
    known = modules & np.isfinite(changes)
    if np.count_nonzero(known) < FEWEST_MODULES:
        return changes, errors, no
    middle = float(np.median(changes[known]))
    apart = np.abs(changes - middle)
    spread = 1.4826 * float(np.median(apart[known]))
    with np.errstate(invalid="ignore"):
        noise = np.hypot(spread, np.nan_to_num(errors))
        stands_out = apart > np.maximum(STANDS_OUT * noise, LEAST_CHANGE_PERCENT)
    return changes, errors, known & stands_out


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0
