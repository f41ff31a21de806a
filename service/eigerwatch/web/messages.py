"""What page and server say to each other over the live WebSocket, ticks apart."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from eigerwatch.frames import Region, Scope
from eigerwatch.store.events import StoredEvent
from eigerwatch.web import tick
from eigerwatch.web.ticks import Unit, View, points_for
from eigerwatch.web.watch import LIVE


class _ClientMessage(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ViewMessage(_ClientMessage):
    """What the client wants to see."""

    t: Literal["view"] = "view"
    series: str = LIVE
    """Series key, or ``live`` for the newest."""
    channel: str | None = None
    """None: the series' first."""
    start: int | None = Field(default=None, alias="from", ge=0, lt=2**40)
    stop: int | None = Field(default=None, alias="to", ge=0, lt=2**40)
    px: int = Field(default=1600, ge=1, le=20_000)
    scope: Literal["whole", "frames", "seconds", "range"] = "whole"
    """Frames of the statistics; ``range``: those shown."""
    window: float = Field(default=10_000, gt=0, lt=2**40, allow_inf_nan=False)
    """Newest frames or seconds of the scopes ``frames`` and ``seconds``."""
    region: str | None = Field(default=None, max_length=256)
    """Name or place of a region; None: the whole image."""
    unit: Unit = "normalised"
    hz: float = Field(default=4, gt=0, le=20, allow_inf_nan=False)

    def view(self, series: str, channel: str, region: Region | None = None) -> View:
        """Return the view with series, channel and region resolved."""
        stop = self.stop
        if stop is not None and stop <= (self.start or 0):
            stop = (self.start or 0) + 1
        if self.scope == "range":
            scope = Scope("range", start=self.start or 0, stop=stop)
        elif self.scope == "whole":
            scope = Scope()
        else:
            scope = Scope(self.scope, last=self.window)
        return View(
            series,
            channel,
            self.start,
            stop,
            points_for(self.px),
            scope,
            region,
            self.unit,
        )


class AckMessage(_ClientMessage):
    """The client has drawn a tick."""

    t: Literal["ack"]
    seq: int
    draw_ms: float = 0.0


CLIENT_MESSAGE: TypeAdapter[ViewMessage | AckMessage] = TypeAdapter(
    Annotated[ViewMessage | AckMessage, Field(discriminator="t")]
)


def event_message(series: str, event: StoredEvent) -> dict[str, Any]:
    """Return the ``event`` message of the live protocol."""
    return {"t": "event", "series": series, **event_dict(event)}


def event_dict(event: StoredEvent) -> dict[str, Any]:
    """Return an event as the API and the live protocol show it."""
    return {
        "id": event.id,
        "entry": event.entry,
        "ms": event.ms,
        "kind": str(event.kind),
        "fields": {str(k): str(v) for k, v in event.fields.items()},
    }


def error_message(text: str, about: str | None = None) -> str:
    """Return the ``error`` message of the live protocol: a request is refused.

    Parameters
    ----------
    about
        The choice that cannot be had, where it is a single one.
    """
    return tick.dumps({"t": "error", "text": text, "about": about})


def software_version() -> str:
    """Return the installed version."""
    try:
        return version("eigerwatch")
    except PackageNotFoundError:  # run from a source tree
        return "unreleased"
