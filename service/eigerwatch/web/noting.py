"""What people say about a series: notes, and frames they exclude."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path

from eigerwatch.web import schemas
from eigerwatch.web.parameters import PROBLEMS, SeriesKey, resolved
from eigerwatch.web.reading import NoteStore
from eigerwatch.web.watch import Watch

ExclusionId = Annotated[str, Path(pattern=r"^[0-9]{1,20}-[0-9]{1,20}$")]


def create_router(watch: Watch, notes: NoteStore | None) -> APIRouter:
    """Return the routes of notes and exclusions."""
    router = APIRouter(prefix="/api/v1", responses=PROBLEMS)

    @router.get("/series/{series}/notes", tags=["notes"])
    def list_notes(series: SeriesKey) -> schemas.Notes:
        """Return what people noted and excluded."""
        info, _ = resolved(watch, series, None)
        kept = _needed(notes)
        return schemas.Notes(
            series=info.key,
            notes=[
                schemas.Note(id=n.id, ms=n.ms, author=n.author, text=n.text)
                for n in kept.all(info.key)
            ],
            exclusions=[
                schemas.Exclusion(
                    id=e.id,
                    first=e.first,
                    last=e.last,
                    excluded=e.excluded,
                    author=e.author,
                    reason=e.reason,
                )
                for e in kept.exclusions(info.key)
            ],
        )

    @router.post("/series/{series}/notes", tags=["notes"], status_code=201)
    def add_note(series: SeriesKey, note: schemas.NewNote) -> schemas.Note:
        """Write a note."""
        info, _ = resolved(watch, series, None)
        made = _needed(notes).add(info.key, note.text, note.author)
        return schemas.Note(id=made.id, ms=made.ms, author=made.author, text=made.text)

    @router.delete("/series/{series}/notes/{note}", tags=["notes"], status_code=204)
    def remove_note(series: SeriesKey, note: str) -> None:
        """Delete a note."""
        info, _ = resolved(watch, series, None)
        _needed(notes).remove(info.key, note)

    @router.post("/series/{series}/exclusions", tags=["notes"], status_code=201)
    def exclude_frames(
        series: SeriesKey, wanted: schemas.NewExclusion
    ) -> schemas.Exclusion:
        """Leave frames out of every figure, or take them back: the last word counts."""
        info, _ = resolved(watch, series, None)
        if wanted.last < wanted.first:
            raise HTTPException(
                400, f"the interval ends at {wanted.last}, before its start"
            )
        made = _needed(notes).exclude(
            info.key,
            wanted.first,
            wanted.last,
            excluded=wanted.excluded,
            author=wanted.author,
            reason=wanted.reason,
        )
        return schemas.Exclusion(id=made, **wanted.model_dump())

    @router.delete(
        "/series/{series}/exclusions/{exclusion}", tags=["notes"], status_code=204
    )
    def withdraw_exclusion(series: SeriesKey, exclusion: ExclusionId) -> None:
        """Undo one decision about frames: those before it hold again."""
        info, _ = resolved(watch, series, None)
        _needed(notes).withdraw(info.key, exclusion)

    return router


def _needed(notes: NoteStore | None) -> NoteStore:
    if notes is None:
        raise HTTPException(404, "this service keeps no notes")
    return notes
