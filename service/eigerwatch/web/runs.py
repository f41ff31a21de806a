"""Routes of the list of runs: search, figures, labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query

from eigerwatch.errors import UnknownSeriesError
from eigerwatch.store.labels import LabelError
from eigerwatch.web import schemas
from eigerwatch.web.parameters import PROBLEMS, SeriesKey
from eigerwatch.web.reading import StoreReader
from eigerwatch.web.run_index import Entry, RunIndex
from eigerwatch.web.run_query import SORTS, Filter, in_order
from eigerwatch.web.run_schemas import Run, RunLabels, RunList
from eigerwatch.web.run_store import RunStore

MOST = 1000
Tag = Annotated[str, Query(min_length=1, max_length=200, description="The label.")]
_REFUSED: dict[int | str, dict[str, Any]] = {
    409: {"model": schemas.Problem, "description": "The run does not take it."}
}


def create_router(
    store: RunStore | None, index: RunIndex | None, reader: StoreReader
) -> APIRouter:
    """Return the routes; without a store they answer 404."""
    router = APIRouter(prefix="/api/v1", responses=PROBLEMS)

    @router.get("/runs", tags=["runs"])
    def runs(
        q: Annotated[
            str,
            Query(
                max_length=400,
                description="Words that must all stand in key, source, detector, "
                "header, notes or tags.",
            ),
        ] = "",
        source: Literal["live", "sim", "replay", "file"] | None = None,
        tag: Annotated[str | None, Query(max_length=200)] = None,
        series: Annotated[
            list[str] | None,
            Query(max_length=MOST, description="Only these, by their keys."),
        ] = None,
        start: Annotated[
            datetime | None,
            Query(alias="from", description="Began at this time (UTC) or later."),
        ] = None,
        stop: Annotated[
            datetime | None, Query(alias="to", description="Began before this time.")
        ] = None,
        sort: Annotated[
            str, Query(max_length=20, description=f"One of {', '.join(SORTS)}.")
        ] = "started",
        order: Literal["asc", "desc"] = "desc",
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
        sparkline: Annotated[bool, Query(description="With the small plots.")] = True,
    ) -> RunList:
        """Return runs with their figures: those that a filter leaves, in order."""
        _, known = _needed(store, index)
        if sort not in SORTS:
            raise HTTPException(
                400, f"runs cannot be sorted by {sort!r}; there are {', '.join(SORTS)}"
            )
        wanted = Filter(
            keys=None if series is None else frozenset(series),
            words=tuple(q.casefold().split()),
            source=source,
            tag=tag,
            from_ms=_ms(start),
            to_ms=_ms(stop),
        )
        entries = known.entries()
        left = [
            _run(entry, known, sparkline=False)
            for entry in entries
            if wanted.passes(
                entry.listed.key,
                (entry.facts.words, entry.said_words),
                entry.facts.source,
                entry.said.tags,
                entry.facts.started_ms,
            )
        ]
        page = in_order(left, sort, order == "desc")[offset : offset + limit]
        if sparkline:
            by_key = {entry.listed.key: entry for entry in entries}
            page = [_run(by_key[run.series], known, sparkline=True) for run in page]
        return RunList(
            runs=page,
            total=len(left),
            offset=offset,
            all=len(entries),
            pending=sum(known.judged(entry) == "pending" for entry in entries),
            tags=sorted({tag for e in entries for tag in e.said.tags}),
            now_ms=time.time() * 1000,
        )

    @router.put("/series/{series}/tags", tags=["runs"], responses=_REFUSED)
    def add_tag(series: SeriesKey, tag: Tag) -> RunLabels:
        """Give a series a label; it may have 20 of 40 characters."""
        kept, known = _changeable(store, index, reader, series)
        try:
            kept.labels.tag(series, tag)
        except LabelError as exc:
            raise HTTPException(409, str(exc)) from exc
        known.renew(series)
        return _labels(known, series)

    @router.delete(
        "/series/{series}/tags", tags=["runs"], status_code=204, responses=_REFUSED
    )
    def remove_tag(series: SeriesKey, tag: Tag) -> None:
        """Take a label away."""
        kept, known = _changeable(store, index, reader, series)
        kept.labels.untag(series, tag)
        known.renew(series)

    @router.put("/series/{series}/pin", tags=["runs"], responses=_REFUSED)
    def pin(series: SeriesKey) -> RunLabels:
        """Keep a series for ever: it neither expires nor goes into the archive."""
        kept, known = _changeable(store, index, reader, series)
        kept.labels.pin(series, True)
        known.renew(series)
        return _labels(known, series)

    @router.delete(
        "/series/{series}/pin", tags=["runs"], status_code=204, responses=_REFUSED
    )
    def unpin(series: SeriesKey) -> None:
        """Let a series' time run again."""
        kept, known = _changeable(store, index, reader, series)
        kept.labels.pin(series, False)
        known.renew(series)

    return router


def _needed(
    store: RunStore | None, index: RunIndex | None
) -> tuple[RunStore, RunIndex]:
    if store is None or index is None:
        raise HTTPException(404, "this service keeps no list of runs")
    return store, index


def _changeable(
    store: RunStore | None, index: RunIndex | None, reader: StoreReader, series: str
) -> tuple[RunStore, RunIndex]:
    found = _needed(store, index)
    if reader.info(series).archived:
        raise HTTPException(
            409, f"{series} is archived: its tags and pin stay as they were"
        )
    return found


def _labels(known: RunIndex, series: str) -> RunLabels:
    for entry in known.entries():
        if entry.listed.key == series:
            tags, pinned = list(entry.said.tags), entry.facts.pinned
            return RunLabels(series=series, tags=tags, pinned=pinned)
    raise UnknownSeriesError(series)


def _run(entry: Entry, known: RunIndex, sparkline: bool) -> Run:
    """Return an entry as the API tells it; only what is `done` has figures."""
    facts, ledger = entry.facts, entry.facts.ledger
    judged = known.judged(entry)
    content: dict[str, Any] = {}
    if judged == "done" and entry.summary is not None:
        content = dict(entry.summary.content)
        if not sparkline:
            content.pop("sparkline", None)
    seen = ledger.highest + 1 if ledger else 0
    # Not validated where it is only sorted by: a thousand of them take their time.
    make = Run if sparkline else Run.model_construct
    return make(
        series=facts.key,
        source=facts.source,
        series_id=facts.series_id,
        state=facts.state,
        detector=facts.detector,
        serial=facts.serial,
        channel=facts.channel,
        started_ms=facts.started_ms,
        duration_s=facts.duration_s,
        stored=ledger.stored if ledger else 0,
        announced=facts.announced,
        missing=ledger.missing if ledger else 0,
        rejected=ledger.rejected if ledger else 0,
        rejected_percent=100 * ledger.rejected / seen if ledger and seen else None,
        archived=facts.archived,
        pinned=facts.pinned,
        origin=facts.origin,
        tags=list(entry.said.tags),
        notes=len(entry.said.notes),
        judged=judged,
        judged_text=entry.failure[1] if judged == "failed" and entry.failure else "",
        **content,
    )


def _ms(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() * 1000
