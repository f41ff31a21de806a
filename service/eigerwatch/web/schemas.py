"""What the REST API answers.

64-bit integers (sums of counts, times in ns) travel as decimal strings, because
JavaScript's numbers are exact only up to 2^53; NaN appears nowhere, unknown is null.
Long by its list: one class for each answer, and no logic.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, populate_by_name=True)


class Problem(_Answer):
    """Why a request could not be answered."""

    detail: str
    """One sentence."""


class Ledger(_Answer):
    """Where a channel's frames are; the first four add up to `frames`."""

    stored: int
    rejected: int
    outstanding: int
    """Not here yet, but may still come."""
    missing: int
    """Will not come."""
    frames: int
    """Highest frame number seen + 1."""
    late: int
    """Came after their place had been declared missing, or out of order."""
    duplicates: int
    conflicts: int
    """Came again with other contents; the first one is kept."""


class Series(_Answer):
    """One series in short."""

    series: str
    """Key ``<source>:<id>``, unique for ever."""
    source: str
    """live, sim, replay or file."""
    series_id: int | None
    """The detector's own number; restarts at 1 with the detector."""
    series_unique_id: str | None
    state: str
    """no_data, armed, collecting, settling, stalled, finished, stopped_early, error."""
    state_text: str
    """Reason of the state, where there is one to tell."""
    channels: list[str]
    frames: int
    """Highest frame number seen + 1, over all channels."""
    stored: int
    """Stored frames of the first channel."""
    number_of_images: int | None
    """Announced frames; an upper bound."""
    detector: str | None
    started_ms: int | None
    """UTC epoch [ms]."""
    last_write_ms: int | None
    ended_ms: int | None
    age_s: float
    """Time since the last frame was stored [s]."""
    pinned: bool
    archived: bool
    """Kept in a file, no longer in Redis."""
    origin: str | None
    """Of a replay: the recording's own identity (JSON)."""


class SeriesDetail(Series):
    """Everything known about one series."""

    serial: str | None
    shape: list[int] | None
    """(y, x) [pixels]."""
    dtype: str | None
    frame_time_s: float | None
    count_time_s: float | None
    filter_low: int | None
    """Smallest pixel value that counts [counts]."""
    filter_high: int | None
    """Largest pixel value that counts [counts]."""
    end_seen: bool
    header_missing: bool
    """The message that announces a series was missed."""
    ledgers: dict[str, Ledger]
    meta: dict[str, str]
    """All stored fields, as stored."""


class SeriesList(_Answer):
    """A page of the list of series, newest first."""

    series: list[Series]
    offset: int
    more: bool
    """There are older ones."""


class Frames(_Answer):
    """Frame records as columns."""

    series: str
    channel: str
    start: int = Field(alias="from")
    """First frame of the range."""
    stop: int = Field(alias="to")
    """First frame after the range."""
    decimated: bool
    """Only the smallest and largest total of every bin of `bin` frames."""
    bin: int
    frames: list[int]
    """Frame numbers of the rows; frames without data have no row."""
    columns: dict[str, list[int | str]]
    """64-bit integers as strings."""


class Table(_Answer):
    """Statistics of a selection; null where too few frames define them."""

    count: int
    mean: float | None
    """[counts]"""
    std: float | None
    """Sample standard deviation (ddof 1) [counts]."""
    cv_percent: float | None
    """100 std/mean [%]."""
    minimum: float | None
    q25: float | None
    median: float | None
    q75: float | None
    maximum: float | None


class ShotNoise(_Answer):
    """What counting alone would fluctuate, and what is left for the beam."""

    cv_shot_percent: float | None
    fano: float | None
    cv_beam_percent: float | None


class Statistics(_Answer):
    """The origin's table of a selection of stored frames."""

    series: str
    channel: str
    region: str | None
    """Whose counts these are; null: of the whole image."""
    scope: str
    """whole, frames, seconds or range."""
    first: int | None
    """Smallest frame number in the selection."""
    newest: int | None
    """Largest frame number in the selection."""
    raw: Table
    detrended: Table
    """Raw minus its least-squares line plus its mean."""
    slope: float | None
    """Of the line [counts per frame]."""
    drift_percent: float | None
    """Rise of the line from the first to the last frame [% of the mean]."""
    shot_noise: ShotNoise
    """Of the detrended values."""


class Histogram(_Answer):
    """Frames by their intensity, raw and detrended, in the same bins."""

    series: str
    channel: str
    region: str | None
    """Whose counts these are; null: of the whole image."""
    scope: str
    """whole, frames, seconds or range."""
    n: int
    """Frames used; with fewer than 8 all lists are empty."""
    excluded: int
    """Frames left out."""
    usage_text: str
    """Which frames these figures rest on."""
    unit: str
    """Of edges, widths and curve_x: normalised (parts of the mean) or counts."""
    mean: float | None
    """[counts]"""
    edges: list[float]
    """Limits of the bins, one more than there are bins."""
    raw: list[int]
    detrended: list[int]
    raw_outside: list[int]
    """Frames below the first bin, and above the last."""
    detrended_outside: list[int]
    raw_width: float | None
    """Standard deviation."""
    detrended_width: float | None
    counting_width: float | None
    """Standard deviation of pure photon counting, sqrt(mean)."""
    curve_x: list[float]
    curve_y: list[float]
    """Frames per bin that pure counting would give; of the same area as the bars."""
    text: str


class Region(_Answer):
    """A part of the image; null where no frame was counted."""

    name: str
    shape: dict[str, Any]
    """``kind`` and the numbers that go with it, in pixels, y before x."""
    pixels: int
    """Pixels of the image that belong to it."""
    mean_total: float | None
    """Mean of the sum of its kept pixels [counts per frame]."""
    mean_kept: float | None
    """Mean number of its kept pixels."""
    mean_sentinel: float | None
    """Mean number of its pixels without data."""
    change_percent: float | None
    """Change of its share of the frames' sums since the first frames [%]."""
    change_error_percent: float | None
    """Standard error of that by photon counting alone [%]."""
    deviates: bool
    """Its change stands out among those of the modules."""


class Preview(_Answer):
    """What the newest preview of a channel shows."""

    series: str
    channel: str
    image_id: int | None
    """Frame, from 0; null: there is no preview, or it does not say."""
    received_ms: int | None
    """When that frame came, UTC epoch [ms]."""
    covers: list[int] | None
    """(y, x) pixels of the image that the picture covers."""


class Regions(_Answer):
    """The regions of a channel, over a range of frames."""

    series: str
    channel: str
    start: int = Field(alias="from")
    """First frame of the range."""
    stop: int = Field(alias="to")
    """First frame after the range."""
    frames: int
    """Frames that were used: stored, and counted with these settings."""
    settings: int
    """Settings version that the regions belong to."""
    image: list[int] | None
    """(y, x) of the image [pixels]."""
    compared: list[int] | None
    """First and last of the frames that changes are told against; null: none."""
    regions: list[Region]


class Event(_Answer):
    """Something that happened in a series."""

    id: str
    """Unique for ever."""
    entry: str
    """Position in the list: what `after` takes."""
    ms: int
    """UTC epoch [ms]."""
    kind: str
    fields: dict[str, str]


class Events(_Answer):
    """Events of a series, oldest first."""

    series: str
    events: list[Event]


class Consumer(_Answer):
    """The process that receives the frames."""

    alive: bool
    owner: str | None
    host: str | None
    pid: int | None
    since_ms: int | None
    beat_age_s: float | None
    """Time since its last sign of life [s]."""
    status: dict[str, Any]
    """What it says about itself: back-pressure, storing late, rejected messages."""


class Status(_Answer):
    """What the source, the consumer and the store are doing."""

    source: str
    text: str
    since_ms: float
    now_ms: float
    series: str | None
    """What "follow live" shows."""
    others: list[str]
    """Other series that are open."""
    ledgers: dict[str, dict[str, int]]
    consumer: Consumer
    store: str | None
    """What is wrong with the store; null: nothing."""
    beam: dict[str, Any]
    """Decision about the newest frames, since when, and whether any limit is set."""
    alarms: dict[str, Any]
    """The alarm that lasts, how many ended before anybody acknowledged them, and a
    number that grows with every change."""
    files: str
    """Folder of the page's scripts; another one after an update of the service."""
    clients: int
    """Live connections."""


class Health(_Answer):
    """Whether the service works."""

    ok: bool
    process: str
    """``ok``, or what of the web process fails or has ended."""
    store: str
    consumer: str
    consumer_age_s: float | None


class Analysis(_Answer):
    """Everything that is said about a selection; all parts hold their units by name."""

    series: str
    channel: str
    scope: str
    newest: int
    """Highest frame number known when this was said."""
    judged: dict[str, Any]
    """Decision (go, no_go, no_beam, unknown), reason, and each limit."""
    usage: dict[str, Any]
    """Frames used, and those excluded by reason."""
    missing: int
    """Frames between the first and the last that are not stored."""
    events: list[dict[str, Any]]
    """What was found; ``excluded_by``: the interval that leaves its frames out."""
    segments: list[dict[str, Any]]
    """Stable stretches."""
    proposed: dict[str, Any] | None
    """The longest of them."""
    topups: dict[str, Any] | None
    """Period of the top-ups [s], learned from those so far, and the next one."""
    table: dict[str, Any]
    """The origin's table, raw and detrended by one line."""
    detrended: dict[str, Any]
    """Detrended by one line for each stretch."""
    drift: dict[str, Any]
    shot_noise: dict[str, Any]
    uncertainty: dict[str, Any]
    """Intervals of the CVs."""
    judgement: dict[str, Any]
    """photon_limited, mixed or beam_limited."""
    stationarity: dict[str, Any]
    time_base: dict[str, Any]
    frequencies: dict[str, Any] | None
    """Lines and bands."""


class Spectra(_Answer):
    """A selection's fluctuation by frequency."""

    series: str
    channel: str
    spectrum: dict[str, Any]
    """One-sided density of the relative intensity [1/Hz]."""
    search: dict[str, Any]
    """Lines, strongest first."""
    bands: dict[str, Any]
    allan: dict[str, Any] | None
    """Null where asked to be brief."""
    spectrogram: dict[str, Any] | None
    """Null where asked to be brief."""


class Position(_Answer):
    """Common and differential fluctuation of the modules."""

    series: str
    channel: str
    position: dict[str, Any]


class Comparison(_Answer):
    """B against A."""

    a: str
    b: str
    comparison: dict[str, Any]


class Beam(_Answer):
    """The decision about the newest frames of the followed series."""

    series: str | None
    channel: str | None
    judged: dict[str, Any]
    since_ms: float
    """When the decision last changed, UTC epoch [ms]."""
    newest: int | None
    """Newest frame judged."""
    made_ms: float | None
    """When it was judged, UTC epoch [ms]."""


class Note(_Answer):
    """What somebody noted about a series."""

    id: str
    ms: int
    """UTC epoch [ms]."""
    author: str
    text: str


class NewNote(BaseModel):
    """A note to write."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=4000)
    author: str = Field(default="", max_length=200)


class NewExclusion(BaseModel):
    """Frames to leave out, or to take back."""

    model_config = ConfigDict(extra="forbid")

    first: int = Field(ge=0, lt=2**40)
    """image_id."""
    last: int = Field(ge=0, lt=2**40)
    """image_id, inclusive."""
    excluded: bool = True
    """False: these frames count, whatever events say."""
    author: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=4000)


class Exclusion(_Answer):
    """Frames left out by hand, or taken back."""

    id: str
    first: int
    last: int
    excluded: bool
    author: str
    reason: str


class Notes(_Answer):
    """What people noted and excluded, oldest first."""

    series: str
    notes: list[Note]
    exclusions: list[Exclusion]
