"""Puts the web's parts together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

from eigerwatch.errors import StoreError, UnknownSeriesError
from eigerwatch.framecache import FrameCache
from eigerwatch.sections import (
    AnalysisSettings,
    ReplaySettings,
    TargetSettings,
    WebSettings,
)
from eigerwatch.web import (
    alarming,
    analysing,
    api,
    choosing,
    distribution,
    downloads,
    images,
    nexus,
    noting,
    replaying,
    runs,
    schemas,
    stability,
)
from eigerwatch.web.alarms import AlarmWatch
from eigerwatch.web.assessing import Assessor
from eigerwatch.web.beam import BeamWatch
from eigerwatch.web.live import LiveHub
from eigerwatch.web.messages import software_version
from eigerwatch.web.ordering import CommandStore
from eigerwatch.web.pages import Pages
from eigerwatch.web.reading import AlarmStore, NoteStore, StoreReader
from eigerwatch.web.run_figures import made_by
from eigerwatch.web.run_index import RunIndex
from eigerwatch.web.run_store import RunStore
from eigerwatch.web.security import Guard
from eigerwatch.web.source import BEAT_LIMIT_S
from eigerwatch.web.summarising import Summariser
from eigerwatch.web.watch import Watch

DESCRIPTION = """\
The beam's intensity, frame by frame, from the frames of a DECTRIS Eiger.

All but notes, exclusions, tags, pins, acknowledging alarms, the replay and the \
settings of the next series only reads. Frames are numbered from 0 (image_id); \
ranges are [from, to). 64-bit integers are decimal strings; unknown is null.

Live data come by the WebSocket `/api/v1/live`. The client says `view` (series or \
`live`, channel, region, from, to, px, scope, window, unit) and confirms every \
binary tick with `ack` and its `seq`; the server says `hello`, `state` (at least \
once a second), `event` and `error`. A tick is: u32 magic `EWT1`, u32 header length, \
JSON header, then the header's `blocks`, little-endian, each at a multiple of 8 bytes.
"""


def create_app(
    reader: StoreReader,
    settings: WebSettings,
    *,
    notes: NoteStore | None = None,
    analysis: AnalysisSettings | None = None,
    targets: TargetSettings | None = None,
    commands: CommandStore | None = None,
    replay: ReplaySettings | None = None,
    alarms: AlarmStore | None = None,
    run_store: RunStore | None = None,
) -> FastAPI:
    """Return the web application.

    Parameters
    ----------
    reader
        `eigerwatch.store.read.Reader`, or anything that answers like it.
    settings
        Host names under which it may be used, and the rate of live updates.
    notes
        Where people note something and exclude frames; None: they cannot.
    analysis, targets
        How runs are judged; None: the defaults.
    commands
        Where people command replays and the next series' settings; None: they cannot.
    replay
        Folders that recordings are looked for in; None: there are none.
    alarms
        Where the history of alarms is kept; None: only in this process.
    run_store
        What the list of all runs is made from; None: there is no such list.
    """
    analysis = analysis or AnalysisSettings()
    targets = targets or TargetSettings()
    frames = FrameCache(reader)
    assessor = Assessor(reader, frames, notes, analysis, targets)
    watch = Watch(reader, frames, assessor)
    beam = BeamWatch(watch, assessor, targets)
    alarm_watch = AlarmWatch(watch, targets, alarms)
    beam.listeners.append(alarm_watch.look)
    pages = Pages()
    hub = LiveHub(watch, settings, beam, alarm_watch, pages.root)
    index = summariser = None
    if run_store is not None:
        index = RunIndex(run_store, made_by(analysis, targets))
        summariser = Summariser(index, reader, notes, analysis, targets)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.start()
        beam.start()
        if summariser is not None:
            summariser.start()
        try:
            yield
        finally:
            await hub.stop()
            await run_in_threadpool(beam.stop)
            if summariser is not None:
                await run_in_threadpool(summariser.stop)
            assessor.close()

    app = FastAPI(
        title="Eigerwatch",
        version=software_version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own page loads its scripts from the Internet
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.add_middleware(Guard, allowed_hosts=settings.allowed_hosts, policy=pages.policy)
    app.add_middleware(
        TrustedHostMiddleware,
        allowed_hosts=list(settings.allowed_hosts),
        www_redirect=False,
    )
    app.add_exception_handler(UnknownSeriesError, _not_found)
    app.add_exception_handler(StoreError, _store_away)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.include_router(api.create_router(watch, hub))
    app.include_router(analysing.create_router(watch, assessor, beam, notes))
    app.include_router(stability.create_router(watch, assessor))
    app.include_router(analysing.health_router(watch, beam))
    app.include_router(noting.create_router(watch, notes))
    app.include_router(
        replaying.create_router(watch, commands, replay or ReplaySettings())
    )
    app.include_router(choosing.create_router(watch, commands))
    app.include_router(alarming.create_router(alarm_watch))
    app.include_router(runs.create_router(run_store, index, reader))
    app.include_router(images.create_router(watch))
    app.include_router(distribution.create_router(watch, assessor))
    app.include_router(downloads.create_router(watch))
    app.include_router(nexus.create_router(watch, assessor, notes))
    app.include_router(pages.router())

    @app.get(
        "/healthz",
        tags=["status"],
        response_model=schemas.Health,
        responses={503: {"model": schemas.Health}},
    )
    def healthz() -> JSONResponse:
        """Return 200 where process, store and consumer work, else 503."""
        health = _health(watch, (hub.problem, beam.problem))
        return JSONResponse(health.model_dump(), 200 if health.ok else 503)

    return app


def _health(watch: Watch, problems: Iterable[str | None]) -> schemas.Health:
    situation = watch.look()
    process = "; ".join(problem for problem in problems if problem) or "ok"
    age_s = situation.consumer_age_s
    alive = age_s is not None and age_s < BEAT_LIMIT_S
    return schemas.Health(
        ok=alive and situation.store_error is None and process == "ok",
        process=process,
        store=situation.store_error or "ok",
        consumer="ok" if alive else "no sign of life",
        consumer_age_s=age_s,
    )


def _not_found(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 404)


def _not_understood(_request: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with a request without its contents, which may be anything."""
    assert isinstance(error, RequestValidationError)
    told = [
        {"loc": list(one["loc"]), "msg": one["msg"], "type": one["type"]}
        for one in error.errors()
    ]
    return JSONResponse({"detail": told}, 422)


def _store_away(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"the store does not answer: {error}"}, 503)
