"""Giving commands to the consumer and waiting for what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from fastapi import HTTPException

from eigerwatch.store.commanded import NextSettings, ReplayState
from eigerwatch.web import schemas
from eigerwatch.web.source import BEAT_LIMIT_S
from eigerwatch.web.watch import Watch

ANSWER_S = 5.0
"""How long a request waits for the consumer [s]."""

REFUSALS: dict[int | str, dict[str, object]] = {
    409: {"model": schemas.Problem, "description": "The service refuses, and why."},
    503: {"model": schemas.Problem, "description": "Nobody could carry it out."},
    504: {"model": schemas.Problem, "description": "The service does not answer."},
}


class CommandStore(Protocol):
    """`eigerwatch.store.desk.Desk`, or what answers like it; as `StoreReader`."""

    def replay(self) -> ReplayState:
        """Return the state of the replay."""
        ...

    def settings(self) -> NextSettings | None:
        """Return what the next series is counted with; None: nobody has said yet."""
        ...

    def carry_out(
        self, command: str, fields: Mapping[str, str], wait_s: float
    ) -> str | None:
        """Give a command; return a problem, "" for done, None for no answer."""
        ...


def needed(commands: CommandStore | None) -> CommandStore:
    """Return where commands are given, or answer 404."""
    if commands is None:
        raise HTTPException(404, "this service takes no commands")
    return commands


def consumer_lives(watch: Watch) -> bool:
    """Tell whether somebody is there to carry commands out."""
    age_s = watch.look().consumer_age_s
    return age_s is not None and age_s < BEAT_LIMIT_S


def order(
    watch: Watch,
    commands: CommandStore,
    command: str,
    fields: Mapping[str, str] | None = None,
) -> None:
    """Have a command carried out, or answer why it was not."""
    if not consumer_lives(watch):
        raise HTTPException(
            503, "no service runs that could do this; start it with 'eigerwatch run'"
        )
    problem = commands.carry_out(command, fields or {}, ANSWER_S)
    if problem is None:
        raise HTTPException(
            504, f"the service has not answered within {ANSWER_S:g} s; look again"
        )
    if problem:
        raise HTTPException(409, problem)
