"""Stored series as files: NeXus with all that is known, or one line per frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np

from eigerwatch.analysis.events.model import Event
from eigerwatch.analysis.exclusion import mask_of
from eigerwatch.export.files import (
    REGION_COLUMNS,
    SUMS_COLUMNS,
    is_stored,
    sums_csv_lines,
)
from eigerwatch.export.nexus import Contents, write_nexus
from eigerwatch.export.nexus_frames import PIECE, FrameState, Piece
from eigerwatch.frames import RowReader, SeriesFrames
from eigerwatch.report.model import settings_of
from eigerwatch.runs import described_regions, facts_of, options_of
from eigerwatch.sections import AnalysisSettings, TargetSettings
from eigerwatch.store.events import StoredEvent
from eigerwatch.store.info import SeriesInfo, json_of
from eigerwatch.store.notes import Exclusion, Note

EVENTS = 1000
"""Recorded events read at a time,"""
MOST_EVENTS = 100_000
"""and most of them in a file."""


class Source(RowReader, Protocol):
    """The part of `eigerwatch.store.read.Reader` that is needed here."""

    def events(
        self, key: str, after: str = "-", limit: int = 1000
    ) -> list[StoredEvent]:
        """Return a series' events, oldest first."""
        ...


class People(Protocol):
    """The part of `eigerwatch.store.notes.Notes` that is needed here."""

    def all(self, key: str) -> list[Note]:
        """Return the notes, oldest first."""
        ...

    def exclusions(self, key: str) -> list[Exclusion]:
        """Return what was excluded and taken back, in order."""
        ...


def write_series(
    path: Path,
    reader: Source,
    people: People | None,
    info: SeriesInfo,
    frames: SeriesFrames,
    events: Sequence[Event],
    analysis: AnalysisSettings,
    targets: TargetSettings,
) -> None:
    """Write one channel of a series as it is now as a NeXus file.

    Parameters
    ----------
    people
        Notes and exclusions; None: nobody can make any.
    frames
        Of the channel, up to date.
    events
        What the analysis found in it.
    """
    channel, n = frames.channel, frames.n
    edits = [] if people is None else people.exclusions(info.key)
    layer = options_of(analysis, edits).exclusions.apply(
        np.zeros(0, np.int64), events, info.frame_time_s
    )
    width = reader.region_rows(info.key, channel, 0, min(n, 1)).shape[1]
    judged = settings_of(analysis, targets)
    contents = Contents(
        series=info.key,
        channel=channel,
        frames=n,
        version=version("eigerwatch"),
        started_ms=info.started_ms,
        ended_ms=info.ended_ms,
        frame_time_s=info.frame_time_s,
        count_time_s=info.count_time_s,
        detector=info.detector,
        serial=info.serial,
        shape=info.shape,
        header=json_of(info.meta.get("header"), dict) or {},
        settings={
            **dict(facts_of(info, channel)),
            **{name: str(value) for name, value in judged.items()},
            "versions": info.meta.get("settings", ""),
        },
        region_names=_region_names(info, frames.settings, width),
        events=events,
        recorded=_recorded(reader, info.key),
        intervals=layer.intervals,
        edits=edits,
        notes=[] if people is None else people.all(info.key),
        rejected=dict(sorted(reader.rejected(info.key, channel).items())),
    )

    def pieces() -> Iterator[Piece]:
        for first, rows, states in _pieces(reader, frames, info.key, 0, n):
            numbers = np.arange(first, first + len(rows))
            used = is_stored(rows) & ~mask_of(numbers, layer.intervals)
            used &= numbers >= frames.settings_start
            regions = None
            if width:
                found = reader.region_rows(info.key, channel, first, first + len(rows))
                regions = np.zeros((len(rows), width), found.dtype)
                regions[: len(found)] = found[:, :width]
            yield Piece(rows, states, used, regions)

    write_nexus(path, contents, pieces())


def frame_lines(
    reader: Source, frames: SeriesFrames, key: str, start: int, stop: int
) -> Iterator[str]:
    """Yield the frames of [start, stop) as CSV, in blocks of whole lines.

    Where `frames` are of a region, a frame stored with settings that lack it is
    ``uncounted``.
    """
    names = np.array([*(state.name.lower() for state in FrameState), "uncounted"])
    columns = SUMS_COLUMNS if frames.region is None else REGION_COLUMNS
    for first, rows, states in _pieces(reader, frames, key, start, stop):
        uncounted = is_stored(rows) & ~frames.take_region(rows, first)
        rows["flags"][uncounted] = 0  # its cells stay empty
        states[uncounted] = len(FrameState)
        yield from sums_csv_lines(
            rows, first + 1, names[states], columns=columns, header=first == start
        )


def _pieces(
    reader: Source, frames: SeriesFrames, key: str, start: int, stop: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield first frame, records and states, at least once."""
    others = (
        (FrameState.OUTSTANDING, frames.outstanding()),
        (FrameState.REJECTED, frames.rejected()),
    )
    for first in range(start, max(stop, start + 1), PIECE):
        last = min(first + PIECE, stop)
        found = reader.rows(key, frames.channel, first, last)
        # What was forgotten meanwhile keeps its place.
        rows = np.zeros(last - first, found.dtype)
        rows[: len(found)] = found
        states = np.full(len(rows), FrameState.MISSING, np.uint8)
        for state, numbers in others:
            here = numbers[(numbers >= first) & (numbers < last)]
            states[here - first] = state
        states[is_stored(rows)] = FrameState.STORED
        yield first, rows, states


def _region_names(info: SeriesInfo, settings: int | None, width: int) -> list[str]:
    versions = described_regions(info)
    number = max(versions, default=0) if settings is None else settings
    told = [str(one.get("name", "")) for one in versions.get(number, ())][:width]
    return [
        *(name or f"region_{k + 1}" for k, name in enumerate(told)),
        *(f"region_{k + 1}" for k in range(len(told), width)),
    ]


def _recorded(reader: Source, key: str) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    while len(found) < MOST_EVENTS:
        after = found[-1].entry if found else "-"
        more = reader.events(key, after=after, limit=EVENTS)
        found += more
        if len(more) < EVENTS:
            break
    return found
