"""What the routes that command the service take and answer; no logic."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MOST_FILE = 12_288
MOST_AUTHOR = 200
FASTEST = 1000.0


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Recording(_Answer):
    """A recorded master file that may be replayed."""

    file: str
    """What names it in a request: its path, percent-encoded."""
    name: str
    folder: str
    size: int
    """Of the master alone [bytes]."""
    modified_ms: int
    """UTC epoch [ms]."""


class Recordings(_Answer):
    """Recordings below the folders of ``replay.roots``, newest first."""

    recordings: list[Recording]
    matching: int
    """How many there are, of which the first ones are listed."""
    complete: bool
    """False: the folders hold more than could be looked at."""
    problems: list[str]
    """Folders that cannot be read."""


class Replay(_Answer):
    """The replay that goes on, or the last one."""

    possible: bool
    """Replays are enabled, and there are folders to take recordings from."""
    problem: str
    """Why not, one sentence."""
    state: str
    """none, starting, playing, paused, stopping; finished, stopped, failed, ended."""
    active: bool
    """It goes on."""
    alive: bool
    """The service that plays it gives signs of life."""
    file: str
    name: str
    frame: int
    """Number of the newest frame sent, from 1; 0: none yet."""
    frames: int
    """Announced by the file; 0: not known yet."""
    sent: int
    speed: float
    """Factor of the recorded rate; 0: as fast as it goes."""
    text: str
    """Why it failed or ended, or what is incomplete."""
    series: str | None
    """Key of the series that it makes."""
    by: str
    """Who started it."""
    started_ms: int


class NewReplay(_Wish):
    """A recording to be replayed."""

    file: str = Field(max_length=MOST_FILE)
    """As `Recording.file`."""
    speed: float = Field(default=1.0, ge=0, le=FASTEST, allow_inf_nan=False)
    """Factor of the recorded rate; 0: as fast as it goes."""
    author: str = Field(default="", max_length=MOST_AUTHOR)


class ReplayChange(_Wish):
    """How the replay shall go on; what is null stays."""

    paused: bool | None = None
    speed: float | None = Field(default=None, ge=0, le=FASTEST, allow_inf_nan=False)
    """Factor of the recorded rate; 0: as fast as it goes."""


class Countable(_Answer):
    """What is counted: limits of the pixels, regions, and resolution rings."""

    low: int
    """Smallest pixel value that counts [counts]."""
    high: int | str
    """Largest one [counts]; ``auto``: the detector's own limit."""
    rois: list[dict[str, Any]]
    """Each with a name and one shape, as in the settings file."""
    rings: int | list[float]
    """How many, of equal area; or their limits [angstrom]."""


class Running(_Answer):
    """What the followed series is counted with."""

    series: str
    state: str
    low: int | None
    high: int | None
    regions: list[str]
    """Names of its regions besides the modules."""
    as_next: bool
    """The next series will be counted alike."""
    channel: str | None
    """Whose preview `picture` is about."""
    picture: list[int] | None
    """(y, x) that the preview covers [pixels], the last squares in full; null: there
    is none."""


class NextSettings(_Answer):
    """What the next series will be counted with."""

    file: Countable
    """What the settings file says."""
    next: Countable
    """What is in effect for the next series."""
    chosen: Countable
    """What people chose; as the file where they chose nothing."""
    changed: bool
    """People chose otherwise than the file."""
    by: str
    """Who chose last."""
    changed_ms: int | None
    """When, UTC epoch [ms]."""
    problem: str
    """Why what people chose is not in effect; empty: it is."""
    running: Running | None


class NewSettings(_Wish):
    """What the next series shall be counted with, as in the settings file."""

    low: Any
    """``filter.low``: smallest pixel value that counts [counts]."""
    high: Any
    """``filter.high``: largest one [counts], or ``auto``."""
    rois: Any
    """``regions.rois``: list of ``{"name": …, "disc": [y, x, radius]}`` or
    ``rectangle``, ``annulus``, ``polygon``; [pixels], y before x."""
    rings: Any
    """``regions.rings``: how many, or a list of limits [angstrom]."""
    author: str = Field(default="", max_length=MOST_AUTHOR)
