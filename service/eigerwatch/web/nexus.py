"""The NeXus file of a series, made on request and sent piece by piece."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import structlog
from fastapi import APIRouter, HTTPException
from starlette.responses import Response, StreamingResponse

from eigerwatch.errors import StoreError
from eigerwatch.filing import write_series
from eigerwatch.web.assessing import Assessor
from eigerwatch.web.parameters import (
    PROBLEMS,
    Channel,
    SeriesKey,
    attachment,
    resolved,
)
from eigerwatch.web.reading import NoteStore
from eigerwatch.web.watch import Watch

log = structlog.get_logger(__name__)

AT_ONCE = 2
"""Files made at a time; whoever comes then is asked to come again."""
SENT = 1 << 18
"""Bytes sent at a time."""
MEDIA_TYPE = "application/x-hdf5"


def create_router(
    watch: Watch, assessor: Assessor, notes: NoteStore | None
) -> APIRouter:
    """Return the route."""
    router = APIRouter(
        prefix="/api/v1/series/{series}", tags=["downloads"], responses=PROBLEMS
    )
    places = threading.BoundedSemaphore(AT_ONCE)

    @router.get(
        "/download.nxs",
        response_class=Response,
        responses={
            200: {"content": {MEDIA_TYPE: {}}},
            507: {"description": "There is no room for the file."},
        },
    )
    def download_nexus(series: SeriesKey, channel: Channel = None) -> Response:
        """Return frames, regions, events, exclusions and notes as NeXus (HDF5)."""
        info, channel = resolved(watch, series, channel)
        if not places.acquire(blocking=False):
            raise HTTPException(
                503, f"{AT_ONCE} files are being made: try again when they are done"
            )
        try:
            file, size = _made(watch, assessor, notes, info.key, channel)
        except StoreError:
            raise
        except OSError as exc:
            log.warning("file not made", series=info.key, problem=str(exc))
            raise HTTPException(
                507,
                "the file cannot be written to the temporary folder: make room there, "
                "or set TMPDIR for the service",
            ) from exc
        finally:
            places.release()
        headers = attachment(f"{info.key}_{channel}", "series.nxs")
        headers["Content-Length"] = str(size)
        return StreamingResponse(_sent(file), media_type=MEDIA_TYPE, headers=headers)

    return router


def _made(
    watch: Watch, assessor: Assessor, notes: NoteStore | None, key: str, channel: str
) -> tuple[BinaryIO, int]:
    """Return the file and its size [bytes]; it has no name any more."""
    info = watch.reader.info(key)
    events = assessor.events(info, channel)
    with TemporaryDirectory(prefix="eigerwatch-") as folder:
        path = Path(folder) / "series.nxs"
        write_series(
            path,
            watch.reader,
            notes,
            info,
            watch.ticks.frames.get(info, channel),
            events,
            assessor.analysis,
            assessor.targets,
        )
        return path.open("rb"), path.stat().st_size


def _sent(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while part := file.read(SENT):
            yield part
