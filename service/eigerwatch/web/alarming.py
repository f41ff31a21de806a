"""Routes of the alarms: their history, and who has seen them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from eigerwatch.errors import AcknowledgedError, UnknownAlarmError
from eigerwatch.store import alarms as stored
from eigerwatch.web import schemas
from eigerwatch.web.alarms import AlarmWatch

AlarmId = Annotated[str, Path(max_length=64, description="``id`` of an alarm.")]


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Reason(_Answer):
    """One thing that is wrong."""

    name: str
    """Of the limit; ``source``: no frames come."""
    text: str
    """One sentence with the figures as it began."""
    since_ms: int
    """UTC epoch [ms]."""
    value: float | None
    """As it began [%]."""
    limit: float | None
    """[%]"""
    worst: float | None
    """The largest value, once the alarm has ended [%]."""


class Acknowledgement(_Answer):
    """Somebody has seen it."""

    ms: int
    """UTC epoch [ms]."""
    author: str
    comment: str


class Alarm(_Answer):
    """A time during which something was wrong."""

    id: str
    series: str | None
    channel: str | None
    decision: str
    began_ms: int
    """UTC epoch [ms]."""
    ended_ms: int | None
    """UTC epoch [ms]; null: it lasts."""
    ending: str
    """Why it ended."""
    reasons: list[Reason]
    acknowledgements: list[Acknowledgement]
    """Oldest first."""
    acknowledged: bool
    """Somebody has seen all of its reasons."""


class Alarms(_Answer):
    """The history of alarms, newest first."""

    alarms: list[Alarm]
    lasting: Alarm | None
    """The one that has not ended."""
    now: list[str]
    """What is wrong at this moment."""
    version: int
    """Changes with the history."""
    kept: bool
    """The history outlives this process."""


class NewAcknowledgement(BaseModel):
    """Who has seen an alarm."""

    model_config = ConfigDict(extra="forbid")

    author: str = Field(default="", max_length=200)
    comment: str = Field(default="", max_length=2000)


def create_router(alarms: AlarmWatch) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1", tags=["alarms"])

    @router.get("/alarms")
    def history(limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Alarms:
        """Return the alarms of the followed series, newest first."""
        brief = alarms.brief
        lasting = brief["lasting"]
        return Alarms(
            alarms=[_told(alarm) for alarm in alarms.alarms(limit)],
            lasting=None if lasting is None else Alarm.model_validate(lasting),
            now=[] if lasting is None else lasting["now"],
            version=brief["version"],
            kept=alarms.kept,
        )

    @router.post(
        "/alarms/{alarm}/acknowledge",
        status_code=201,
        responses={
            404: {"model": schemas.Problem, "description": "No such alarm."},
            409: {"model": schemas.Problem, "description": "Somebody was faster."},
            503: {"model": schemas.Problem, "description": "The store is away."},
        },
    )
    def acknowledge(alarm: AlarmId, said: NewAcknowledgement) -> Alarm:
        """Say that somebody has seen an alarm; another reason makes it new again."""
        try:
            return _told(alarms.acknowledge(alarm, said.author, said.comment))
        except UnknownAlarmError as exc:
            raise HTTPException(404, str(exc)) from exc
        except AcknowledgedError as exc:
            raise HTTPException(409, str(exc)) from exc

    return router


def _told(alarm: stored.Alarm) -> Alarm:
    return Alarm.model_validate(alarm.as_dict())
