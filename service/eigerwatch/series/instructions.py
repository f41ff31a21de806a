"""What the tracker tells the pipeline to do."""

from __future__ import annotations

from dataclasses import dataclass

from eigerwatch.model import Image, PixelFilter, RejectReason, SourceState
from eigerwatch.series.ledger import Run
from eigerwatch.series.state import Series, SettingsVersion


@dataclass(slots=True)
class Opened:
    """A series began (or was met without its START)."""

    series: Series


@dataclass(slots=True)
class HeaderAdopted:
    """The START of a series came after its first frames."""

    series: Series


@dataclass(slots=True)
class SettingsBegan:
    """From some frame on, other pixels count than before, or the first ones do."""

    series: Series
    channel: str
    version: SettingsVersion


@dataclass(slots=True)
class FrameReady:
    """One channel's image is to be reduced and stored."""

    series: Series
    channel: str
    image_id: int
    image: Image
    pixel_filter: PixelFilter
    flags: int
    """`FrameFlag` bits, as a plain integer."""
    start_ns: int
    real_ns: int
    received_ns: int
    """Arrival, UTC epoch [ns]."""
    duplicate: bool = False
    """The frame is known already: compare, do not store."""


@dataclass(slots=True)
class FrameRejected:
    """A frame came and cannot be used."""

    series: Series
    channel: str
    image_id: int
    reason: RejectReason
    detail: str


@dataclass(slots=True)
class FramesMissing:
    """Frames were declared missing."""

    series: Series
    channel: str
    runs: list[Run]


@dataclass(slots=True)
class StateChanged:
    """A series went from one state to another."""

    series: Series
    before: SourceState


@dataclass(slots=True)
class Closed:
    """A series is complete, as far as it ever will be."""

    series: Series


@dataclass(slots=True)
class Refused:
    """A message concerns no frame that we could count."""

    series: Series | None
    detail: str


Instruction = (
    Opened
    | HeaderAdopted
    | SettingsBegan
    | FrameReady
    | FrameRejected
    | FramesMissing
    | StateChanged
    | Closed
    | Refused
)
