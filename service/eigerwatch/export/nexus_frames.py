"""The frames of a NeXus file: one column for each value, written piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from eigerwatch.export.files import is_stored
from eigerwatch.export.nexus_groups import as_text, new_group

PIECE = 10_000
"""Frames written at a time: one chunk of the file, and of the store."""


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


def write_frames(
    entry: h5py.Group,
    n: int,
    frame_time_s: float | None,
    region_names: Sequence[str],
    pieces: Iterable[Piece],
) -> None:
    """Write all n frames.

    Parameters
    ----------
    frame_time_s
        Step of the axis where no time is told [s]; None: the axis is of frames.
    pieces
        All frames from 0, in order.

    Raises
    ------
    ValueError
        The pieces have another number of frames.
    """
    timed = bool(frame_time_s)
    axis = "time" if timed else "frame"
    data = new_group(entry, "intensity", "NXdata", signal="total")
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
    regions = _Regions(entry, n, region_names, data, axis)
    clock = _Clock(frame_time_s or 1.0)
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
        self,
        entry: h5py.Group,
        frames: int,
        region_names: Sequence[str],
        data: h5py.Group,
        axis: str,
    ) -> None:
        names = [as_text(name) for name in region_names]
        self._columns: dict[str, _Column] = {}
        if not names:
            return
        group = new_group(entry, "regions", "NXdata", signal="total")
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
                group, name, frames, dtype, (len(names),), units=unit
            )

    def write(self, first: int, rows: npt.NDArray[np.void]) -> None:
        for name, column in self._columns.items():
            column.write(first, rows[name])
