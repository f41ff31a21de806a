"""What the REST API answers about runs in lists."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Sparkline(_Answer):
    """The smallest and largest frames of a run, at most 120."""

    frames: list[int]
    """image_id."""
    values: list[float | None]
    """Over the run's mean; null where frames are missing or do not count."""


class Run(_Answer):
    """One series as a line of a list; figures are of its first channel.

    Figures are null until they are known, and where frames are too few for them.
    """

    series: str
    source: str
    """live, sim, replay or file."""
    series_id: int | None
    state: str
    detector: str | None
    serial: str | None
    channel: str | None
    """The one that the figures are of; null: none yet."""
    started_ms: int | None
    """UTC epoch [ms]."""
    duration_s: float | None
    """Time that the frames span, by their own times where known [s]."""
    stored: int
    announced: int | None
    missing: int
    rejected: int
    rejected_percent: float | None
    """Rejected frames [% of those seen]."""
    archived: bool
    """Kept in a file; takes no more tags and notes."""
    pinned: bool
    """Kept for ever."""
    origin: str | None
    """Of a replay: the recording's own identity (JSON)."""
    tags: list[str]
    notes: int
    """Number of notes."""
    judged: str
    """done, pending (not judged yet), open (not over yet), failed."""
    judged_text: str
    """Why it failed; else empty."""
    mean: float | None = None
    """[counts per frame]"""
    mean_low: float | None = None
    mean_high: float | None = None
    """Limits of its 95 % interval."""
    cv_percent: float | None = None
    """Of the detrended intensity [%]."""
    cv_low: float | None = None
    cv_high: float | None = None
    cv_shot_percent: float | None = None
    """What counting alone fluctuates [%]."""
    cv_beam_percent: float | None = None
    """What is left for the beam [%]."""
    cv_beam_low: float | None = None
    cv_beam_high: float | None = None
    verdict: str | None = None
    """photon_limited, mixed, beam_limited, no_beam; null: too little to judge."""
    verdict_text: str = ""
    events: dict[str, int] = Field(default_factory=dict)
    """Number of what was found, by kind."""
    excluded: int | None = None
    """Frames left out of the figures."""
    sparkline: Sparkline | None = None


class RunList(_Answer):
    """A page of the list of runs."""

    runs: list[Run]
    total: int
    """Runs that the filter leaves."""
    offset: int
    all: int
    """Runs that there are."""
    pending: int
    """Runs that are over and not judged yet, of all."""
    tags: list[str]
    """Labels in use, of all runs."""
    now_ms: float
    """Time of the server, UTC epoch [ms]."""


class RunLabels(_Answer):
    """What people may change about a run in the list."""

    series: str
    tags: list[str]
    """In the order in which they were given."""
    pinned: bool
