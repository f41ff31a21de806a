"""A series as one NeXus file: every frame, its regions, and all that is said of it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.model import Event
from eigerwatch.analysis.exclusion import Interval
from eigerwatch.export.files import is_stored
from eigerwatch.store.notes import Exclusion, Note
from eigerwatch.store.read import StoredEvent

PIECE = 10_000
"""Frames written at a time: one chunk of the file, and of the store."""
NO_NUMBER = -1
"""Stands for "up to the end" and "not known" where a number is wanted."""


class FrameState(IntEnum):
    """Values of the column ``state``."""

    STORED = 0
    REJECTED = 1
    OUTSTANDING = 2
    MISSING = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """Some consecutive frames; all pieces but the last have `PIECE` of them."""

    records: npt.NDArray[np.void]
    """(n,) `FRAME_RECORD`; all zero where nothing is stored."""
    states: npt.NDArray[np.uint8]
    """(n,) of `FrameState`."""
    used: npt.NDArray[np.bool_]
    """(n,) whether the frame counts in the figures."""
    regions: npt.NDArray[np.void] | None = None
    """(n, m) `REGION_ROW`."""


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
        _class(file, "NXroot", default="entry", creator="eigerwatch")
        file.attrs["file_time"] = datetime.now(UTC).isoformat(timespec="seconds")
        entry = _group(file, "entry", "NXentry", default="intensity")
        _about(entry, contents)
        _frames(entry, contents, pieces)
        _said(entry, contents)


def _class(group: h5py.Group, name: str, **attributes: str) -> None:
    group.attrs["NX_class"] = name
    for key, value in attributes.items():
        group.attrs[key] = _text(value)


def _group(parent: h5py.Group, name: str, kind: str, **attributes: str) -> h5py.Group:
    made = parent.create_group(name)
    _class(made, kind, **attributes)
    return made


def _about(entry: h5py.Group, contents: Contents) -> None:
    entry["title"] = _text(f"{contents.series} {contents.channel}")
    entry["entry_identifier"] = _text(contents.series)
    entry["channel"] = _text(contents.channel)
    for name, ms in (
        ("start_time", contents.started_ms),
        ("end_time", contents.ended_ms),
    ):
        if ms is not None:
            entry[name] = datetime.fromtimestamp(ms / 1000, UTC).isoformat(
                timespec="milliseconds"
            )
    process = _group(entry, "process", "NXprocess")
    process["program"] = "eigerwatch"
    process["version"] = _text(contents.version)
    process["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    process["sequence_index"] = 1
    instrument = _group(entry, "instrument", "NXinstrument")
    detector = _group(instrument, "detector", "NXdetector")
    for name, value in (
        ("description", contents.detector),
        ("serial_number", contents.serial),
    ):
        if value is not None:
            detector[name] = _text(value)
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
    _scalars(_group(detector, "header", "NXcollection"), contents.header)
    _scalars(_group(entry, "settings", "NXcollection"), contents.settings)


def _scalars(group: h5py.Group, fields: Mapping[str, Any]) -> None:
    """Write fields by name: numbers and texts as they are, all else as JSON."""
    for name, value in fields.items():
        key = _text(name).replace("/", "_").strip(".") or "_"
        if key in group:
            continue
        plain = isinstance(value, bool | float) or (
            isinstance(value, int) and -(2**63) <= value < 2**63
        )
        if plain:
            group[key] = value
        else:
            told = value if isinstance(value, str) else json.dumps(value)
            group[key] = _text(told)


class _Column:
    """A dataset of one value for each frame, written chunk by chunk.

    Chunks are compressed here: HDF5's own filter would keep Python's lock meanwhile.
    """

    def __init__(
        self,
        group: h5py.Group,
        name: str,
        frames: int,
        dtype: npt.DTypeLike,
        wide: tuple[int, ...] = (),
        **attributes: str,
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._rows = min(PIECE, frames)
        shape = (frames, *wide)
        if 0 in shape:
            data = group.create_dataset(name, shape, self._dtype)
        else:
            data = group.create_dataset(
                name,
                shape,
                self._dtype,
                chunks=(self._rows, *wide),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
        for key, value in attributes.items():
            data.attrs[key] = value
        self._wide = wide
        self._data = data

    def write(self, first: int, values: npt.NDArray[Any]) -> None:
        """Write the values of the frames from `first` on, which begins a chunk."""
        if 0 in self._data.shape or not len(values):
            return
        chunk = np.zeros((self._rows, *self._wide), self._dtype)
        chunk[: len(values)] = values
        size = self._dtype.itemsize
        shuffled = chunk.view(np.uint8).reshape(-1, size).T.tobytes()
        place = (first, *(0 for _ in self._wide))
        self._data.id.write_direct_chunk(place, zlib.compress(shuffled, 1))


_COUNTS = {
    "kept": "pixels that were summed",
    "below": "pixels below low",
    "above": "pixels above high",
    "sentinel": "pixels without data",
    "masked": "pixels that the masks leave out",
}


def _frames(entry: h5py.Group, contents: Contents, pieces: Iterable[Piece]) -> None:
    n, timed = contents.frames, bool(contents.frame_time_s)
    axis = "time" if timed else "frame"
    data = _group(entry, "intensity", "NXdata", signal="total")
    data.attrs["axes"] = np.array([axis], h5py.string_dtype())
    for name in ("time", "frame") if timed else ("frame",):
        data.attrs[f"{name}_indices"] = 0

    def column(name: str, dtype: npt.DTypeLike, **attributes: str) -> _Column:
        return _Column(data, name, n, dtype, (), **attributes)

    columns = {
        "total": column(
            "total",
            "<u8",
            units="counts",
            long_name="sum of the kept pixels; 0 where state is not 0",
        ),
        **{
            name: column(name, "<u4", units="pixels", long_name=text)
            for name, text in _COUNTS.items()
        },
        "max_kept": column("max_kept", "<u4", units="counts"),
        "start_ns": column("start", "<i8", units="ns", long_name="since the series'"),
        "real_ns": column("exposure", "<u8", units="ns"),
        "received_ns": column("received", "<i8", units="ns", long_name="UTC epoch"),
        "flags": column("flags", "<u2"),
        "settings": column("settings_version", "<u2"),
    }
    frame = column("frame", "<i8", long_name="image_id, from 0")
    times = column("time", "<f8", units="s", long_name="since the series' start")
    states = column("state", "u1", long_name=_legend())
    used = column("used", "u1", long_name="1: counts in the figures")
    regions = _Regions(entry, contents, data, axis)
    clock = _Clock(contents.frame_time_s or 1.0)
    first = 0
    for piece in pieces:
        rows = piece.records
        stored = is_stored(rows)
        for name, written in columns.items():
            written.write(first, np.where(stored, rows[name], 0))
        frame.write(first, np.arange(first, first + len(rows)))
        times.write(first, clock.seconds(rows["start_ns"], stored, first))
        states.write(first, piece.states)
        used.write(first, piece.used)
        if piece.regions is not None:
            regions.write(first, piece.regions)
        first += len(rows)
    if first != n:
        raise ValueError(f"{first} frames were given, {n} announced")


def _legend() -> str:
    return ", ".join(f"{state.value} {state.name.lower()}" for state in FrameState)


class _Clock:
    """Times of frames: their own where they came, else between their neighbours'."""

    def __init__(self, frame_time_s: float) -> None:
        self._frame_time_s = frame_time_s
        self._last: tuple[int, float] | None = None
        """The last frame that came, and its time [s]."""

    def seconds(
        self,
        start_ns: npt.NDArray[np.int64],
        stored: npt.NDArray[np.bool_],
        first: int,
    ) -> npt.NDArray[np.float64]:
        """Return the times of the frames from `first` on [s]."""
        number = np.arange(first, first + start_ns.size, dtype=np.float64)
        there = np.flatnonzero(stored)
        known = [number[there]]
        told = [start_ns[there] / 1e9]
        if self._last is not None:
            known.insert(0, np.array([self._last[0]], np.float64))
            told.insert(0, np.array([self._last[1]]))
        at, seconds = np.concatenate(known), np.concatenate(told)
        if not at.size:
            return number * self._frame_time_s
        found = np.interp(number, at, seconds)
        before, after = number < at[0], number > at[-1]
        found[before] = seconds[0] + (number[before] - at[0]) * self._frame_time_s
        found[after] = seconds[-1] + (number[after] - at[-1]) * self._frame_time_s
        if there.size:
            self._last = (int(at[-1]), float(seconds[-1]))
        return found


class _Regions:
    """The sums of the regions, if the series has any."""

    def __init__(
        self, entry: h5py.Group, contents: Contents, data: h5py.Group, axis: str
    ) -> None:
        names = [_text(name) for name in contents.region_names]
        self._columns: dict[str, _Column] = {}
        if not names:
            return
        group = _group(entry, "regions", "NXdata", signal="total")
        group.attrs["axes"] = np.array([axis, "region"], h5py.string_dtype())
        group.attrs[f"{axis}_indices"] = 0
        group.attrs["region_indices"] = 1
        group[axis] = data[axis]
        group["region"] = np.arange(1, len(names) + 1)
        group["region_name"] = np.array(names, h5py.string_dtype())
        for name, dtype, unit in (
            ("total", "<u8", "counts"),
            ("kept", "<u4", "pixels"),
            ("sentinel", "<u4", "pixels"),
        ):
            self._columns[name] = _Column(
                group, name, contents.frames, dtype, (len(names),), units=unit
            )

    def write(self, first: int, rows: npt.NDArray[np.void]) -> None:
        for name, column in self._columns.items():
            column.write(first, rows[name])


def _said(entry: h5py.Group, contents: Contents) -> None:
    """Write events, exclusions, notes and refused frames."""
    events = _group(entry, "events", "NXcollection")
    found = _group(events, "found", "NXcollection")
    told = [event.as_dict() for event in contents.events]
    for name in ("kind", "unit", "reason"):
        _texts(found, name, [one[name] for one in told])
    for name in ("first", "last", "frames"):
        found[name] = np.array([one[name] for one in told], np.int64)
    for name in ("size", "confidence"):
        values = [np.nan if one[name] is None else one[name] for one in told]
        found[name] = np.array(values, np.float64)
    recorded = _group(events, "recorded", "NXcollection")
    recorded["ms"] = np.array([one.ms for one in contents.recorded], np.int64)
    recorded["ms"].attrs["long_name"] = "UTC epoch [ms]"
    _texts(recorded, "kind", [one.kind for one in contents.recorded])
    _texts(recorded, "fields", [json.dumps(one.fields) for one in contents.recorded])

    exclusions = _group(entry, "exclusions", "NXcollection")
    spans = _group(exclusions, "in_effect", "NXcollection")
    spans["first"] = np.array([one.first for one in contents.intervals], np.int64)
    ends = [NO_NUMBER if i.last is None else i.last for i in contents.intervals]
    spans["last"] = np.array(ends, np.int64)
    spans["last"].attrs["long_name"] = f"inclusive; {NO_NUMBER}: up to the end"
    _texts(spans, "kind", [one.kind for one in contents.intervals])
    _texts(spans, "reason", [one.reason for one in contents.intervals])
    by_hand = _group(exclusions, "by_hand", "NXcollection")
    for name in ("first", "last", "excluded"):
        values = [int(getattr(one, name)) for one in contents.edits]
        by_hand[name] = np.array(values, np.int64)
    for name in ("id", "author", "reason"):
        _texts(by_hand, name, [getattr(one, name) for one in contents.edits])

    notes = _group(entry, "notes", "NXcollection")
    for number, one in enumerate(contents.notes, 1):
        note = _group(notes, f"note_{number}", "NXnote")
        note["type"] = "text/plain"
        note["author"] = _text(one.author)
        moment = datetime.fromtimestamp(one.ms / 1000, UTC)
        note["date"] = moment.isoformat(timespec="milliseconds")
        note["data"] = _text(one.text)
    rejected = _group(entry, "rejected", "NXcollection")
    rejected["frame"] = np.array(list(contents.rejected), np.int64)
    _texts(rejected, "reason", list(contents.rejected.values()))


def _texts(group: h5py.Group, name: str, values: Sequence[str]) -> None:
    told = np.array([_text(value) for value in values], object)
    group.create_dataset(name, told.shape, h5py.string_dtype(), told)


def _text(value: object) -> str:
    """Return a text that HDF5 can hold: valid Unicode without NUL."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
