"""Replays commanded from the page; the routes only pass on what people wish."""

from __future__ import annotations

import threading
import time
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from eigerwatch.recordings import Listing, Recorded, listing
from eigerwatch.sections import ReplaySettings
from eigerwatch.store.commanded import ReplayState
from eigerwatch.web import command_schemas as schemas
from eigerwatch.web.ordering import REFUSALS, CommandStore, needed, order
from eigerwatch.web.parameters import PROBLEMS
from eigerwatch.web.source import BEAT_LIMIT_S, Age
from eigerwatch.web.watch import Watch

LISTING_S = 5.0
"""How long a listing of the folders is good for [s]."""
LISTING_WAIT_S = 10.0
"""How long a request waits for another one's listing [s]."""


class Shelf:
    """The recordings in the folders, looked for by one request at a time."""

    def __init__(self, settings: ReplaySettings) -> None:
        self._roots = settings.roots
        self._lock = threading.Lock()
        self._listing = Listing()
        self._good_until = 0.0

    def listing(self) -> Listing:
        """Return what the folders hold, some seconds old at most."""
        # Not for ever: a dead file server must not hold every thread of the page.
        if not self._lock.acquire(timeout=LISTING_WAIT_S):
            raise HTTPException(503, "the folders of replay.roots do not answer")
        try:
            if time.monotonic() >= self._good_until:
                self._listing = listing(self._roots)
                self._good_until = time.monotonic() + LISTING_S
            return self._listing
        finally:
            self._lock.release()


def create_router(
    watch: Watch, commands: CommandStore | None, settings: ReplaySettings
) -> APIRouter:
    """Return the routes of the replay."""
    router = APIRouter(
        prefix="/api/v1/replay", tags=["replay"], responses={**PROBLEMS, **REFUSALS}
    )
    shelf = Shelf(settings)
    beat = Age()
    if commands is not None:
        watch.held = lambda series: _held(commands, series)

    def now() -> schemas.Replay:
        state = needed(commands).replay()
        age_s = beat.of((state.started_ms, state.beat_ms), state.beat_ms or None)
        return _replay(state, settings, alive=age_s < BEAT_LIMIT_S)

    @router.get("")
    def replay() -> schemas.Replay:
        """Return the replay that goes on, or the last one."""
        return now()

    @router.get("/recordings")
    def recordings(
        search: Annotated[
            str, Query(max_length=200, description="Words in name or folder.")
        ] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> schemas.Recordings:
        """Return the recordings that may be replayed, newest first."""
        told = shelf.listing()
        words = search.casefold().split()
        matching = [one for one in told.found if _matches(one, words)]
        return schemas.Recordings(
            recordings=[
                schemas.Recording(
                    file=one.file,
                    name=one.name,
                    folder=one.folder,
                    size=one.size,
                    modified_ms=one.modified_ms,
                )
                for one in matching[:limit]
            ],
            matching=len(matching),
            complete=told.complete,
            problems=told.problems,
        )

    @router.post("", status_code=201)
    def start(wanted: schemas.NewReplay) -> schemas.Replay:
        """Replay a recording into a series of its own; one at a time."""
        fields = {"file": wanted.file, "speed": repr(wanted.speed), "by": wanted.author}
        order(watch, needed(commands), "replay.start", fields)
        return now()

    @router.patch("")
    def change(wanted: schemas.ReplayChange) -> schemas.Replay:
        """Pause the replay, let it go on, or change its speed."""
        desk = needed(commands)
        if wanted.speed is not None:
            order(watch, desk, "replay.speed", {"speed": repr(wanted.speed)})
        if wanted.paused is not None:
            order(watch, desk, "replay.pause" if wanted.paused else "replay.go")
        return now()

    @router.delete("")
    def stop() -> schemas.Replay:
        """Stop the replay; what was sent stays."""
        order(watch, needed(commands), "replay.stop")
        return now()

    return router


def _held(commands: CommandStore, series: str) -> bool:
    """Tell whether the replay that makes a series is paused."""
    state = commands.replay()
    return state.state == "paused" and state.series == series


def _matches(one: Recorded, words: list[str]) -> bool:
    where = f"{one.folder}/{one.name}".casefold()
    return all(word in where for word in words)


def _replay(
    state: ReplayState, settings: ReplaySettings, *, alive: bool
) -> schemas.Replay:
    problem = ""
    if not settings.enabled:
        problem = "Replays are switched off (replay.enabled in the settings)."
    elif not settings.roots:
        problem = "No folder of recordings is set (replay.roots in the settings)."
    return schemas.Replay(
        possible=not problem,
        problem=problem,
        state=state.state,
        active=state.active,
        alive=alive or not state.active,
        file=state.file,
        name=state.name,
        frame=state.frame,
        frames=state.frames,
        sent=state.sent,
        speed=state.speed,
        text=state.text,
        series=state.series or None,
        by=state.by,
        started_ms=state.started_ms,
    )
