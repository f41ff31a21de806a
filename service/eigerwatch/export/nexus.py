"""A series as one NeXus file: every frame, its regions, and all that is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from eigerwatch.analysis.events.model import Event
from eigerwatch.analysis.exclusion import Interval
from eigerwatch.export.nexus_frames import Piece, write_frames
from eigerwatch.export.nexus_groups import (
    as_text,
    declare,
    new_group,
    write_fields,
    write_texts,
)
from eigerwatch.store.events import StoredEvent
from eigerwatch.store.notes import Exclusion, Note

NO_NUMBER = -1
"""Stands for "up to the end" and "not known" where a number is wanted."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds beside its frames; None: not known."""

    series: str
    channel: str
    frames: int
    """Highest frame number + 1."""
    version: str
    """Of this program."""
    started_ms: int | None = None
    ended_ms: int | None = None
    """UTC epoch [ms]."""
    frame_time_s: float | None = None
    count_time_s: float | None = None
    detector: str | None = None
    serial: str | None = None
    shape: tuple[int, int] | None = None
    """(y, x) [pixels]."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """The detector's own fields."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """How frames were counted and judged."""
    region_names: Sequence[str] = ()
    events: Sequence[Event] = ()
    """What the analysis found."""
    recorded: Sequence[StoredEvent] = ()
    """What was noticed as the frames came."""
    intervals: Sequence[Interval] = ()
    """Frames that do not count."""
    edits: Sequence[Exclusion] = ()
    """What people excluded, or took back."""
    notes: Sequence[Note] = ()
    rejected: Mapping[int, str] = field(default_factory=dict)
    """Frame number to reason."""


def write_nexus(path: Path, contents: Contents, pieces: Iterable[Piece]) -> None:
    """Write a NeXus file (HDF5).

    Only one piece is in memory at a time. What is not stored is 0 in every column,
    and `state` says so; its place in the axes is kept.

    Parameters
    ----------
    path
        Written anew.
    pieces
        All frames from 0, in order.
    """
    with h5py.File(path, "w") as file:
        declare(file, "NXroot", default="entry", creator="eigerwatch")
        file.attrs["file_time"] = datetime.now(UTC).isoformat(timespec="seconds")
        entry = new_group(file, "entry", "NXentry", default="intensity")
        _about(entry, contents)
        write_frames(
            entry,
            contents.frames,
            contents.frame_time_s,
            contents.region_names,
            pieces,
        )
        _said(entry, contents)


def _about(entry: h5py.Group, contents: Contents) -> None:
    entry["title"] = as_text(f"{contents.series} {contents.channel}")
    entry["entry_identifier"] = as_text(contents.series)
    entry["channel"] = as_text(contents.channel)
    for name, ms in (
        ("start_time", contents.started_ms),
        ("end_time", contents.ended_ms),
    ):
        if ms is not None:
            entry[name] = datetime.fromtimestamp(ms / 1000, UTC).isoformat(
                timespec="milliseconds"
            )
    process = new_group(entry, "process", "NXprocess")
    process["program"] = "eigerwatch"
    process["version"] = as_text(contents.version)
    process["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    process["sequence_index"] = 1
    instrument = new_group(entry, "instrument", "NXinstrument")
    detector = new_group(instrument, "detector", "NXdetector")
    for name, value in (
        ("description", contents.detector),
        ("serial_number", contents.serial),
    ):
        if value is not None:
            detector[name] = as_text(value)
    for name, seconds in (
        ("frame_time", contents.frame_time_s),
        ("count_time", contents.count_time_s),
    ):
        if seconds is not None:
            detector[name] = seconds
            detector[name].attrs["units"] = "s"
    if contents.shape is not None:
        detector["image_shape"] = np.array(contents.shape)
        detector["image_shape"].attrs["long_name"] = "height and width [pixels]"
    write_fields(new_group(detector, "header", "NXcollection"), contents.header)
    write_fields(new_group(entry, "settings", "NXcollection"), contents.settings)


def _said(entry: h5py.Group, contents: Contents) -> None:
    """Write events, exclusions, notes and refused frames."""
    events = new_group(entry, "events", "NXcollection")
    found = new_group(events, "found", "NXcollection")
    told = [event.as_dict() for event in contents.events]
    for name in ("kind", "unit", "reason"):
        write_texts(found, name, [one[name] for one in told])
    for name in ("first", "last", "frames"):
        found[name] = np.array([one[name] for one in told], np.int64)
    for name in ("size", "confidence"):
        values = [np.nan if one[name] is None else one[name] for one in told]
        found[name] = np.array(values, np.float64)
    recorded = new_group(events, "recorded", "NXcollection")
    recorded["ms"] = np.array([one.ms for one in contents.recorded], np.int64)
    recorded["ms"].attrs["long_name"] = "UTC epoch [ms]"
    write_texts(recorded, "kind", [one.kind for one in contents.recorded])
    write_texts(
        recorded, "fields", [json.dumps(one.fields) for one in contents.recorded]
    )

    exclusions = new_group(entry, "exclusions", "NXcollection")
    spans = new_group(exclusions, "in_effect", "NXcollection")
    spans["first"] = np.array([one.first for one in contents.intervals], np.int64)
    ends = [NO_NUMBER if i.last is None else i.last for i in contents.intervals]
    spans["last"] = np.array(ends, np.int64)
    spans["last"].attrs["long_name"] = f"inclusive; {NO_NUMBER}: up to the end"
    write_texts(spans, "kind", [one.kind for one in contents.intervals])
    write_texts(spans, "reason", [one.reason for one in contents.intervals])
    by_hand = new_group(exclusions, "by_hand", "NXcollection")
    for name in ("first", "last", "excluded"):
        values = [int(getattr(one, name)) for one in contents.edits]
        by_hand[name] = np.array(values, np.int64)
    for name in ("id", "author", "reason"):
        write_texts(by_hand, name, [getattr(one, name) for one in contents.edits])

    notes = new_group(entry, "notes", "NXcollection")
    for number, one in enumerate(contents.notes, 1):
        note = new_group(notes, f"note_{number}", "NXnote")
        note["type"] = "text/plain"
        note["author"] = as_text(one.author)
        moment = datetime.fromtimestamp(one.ms / 1000, UTC)
        note["date"] = moment.isoformat(timespec="milliseconds")
        note["data"] = as_text(one.text)
    rejected = new_group(entry, "rejected", "NXcollection")
    rejected["frame"] = np.array(list(contents.rejected), np.int64)
    write_texts(rejected, "reason", list(contents.rejected.values()))
