"""Sums of a recorded dataset, without stream, store or page."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eigerwatch.config import Settings
from eigerwatch.errors import ConfigError, ReplayError
from eigerwatch.model import (
    FRAME_RECORD,
    MISSING_TOTAL,
    REASON_SHIFT,
    REGION_ROW,
    ChunkRun,
    FrameFlag,
    Images,
    RejectReason,
    SeriesStart,
    cap_of,
)
from eigerwatch.reduce import Reduced
from eigerwatch.replay.recording import (
    Hole,
    Recording,
    Run,
    Unusable,
    open_master,
)
from eigerwatch.sections import FilterSettings
from eigerwatch.selection import PixelSelection, Selector
from eigerwatch.workers import Reducer

_RUNS_PER_THREAD = 4
_FEWEST_RUNS = 16
"""Runs that a thread gets at least, so that all threads end at about the same time."""

Progress = Callable[[int, int], None]
"""Called with the frames done and the frames there are."""


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Frames by number, from 1, both ends included; 0 = the first or the last."""

    start: int = 0
    end: int = 0

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if value < 0:
                raise ConfigError(
                    f"{name} = {value}: frames count from 1; 0 means the first or last"
                )
        if self.end and self.start > self.end:
            raise ConfigError(
                f"start = {self.start} is beyond end = {self.end}; swap them, or use "
                "end = 0 for the last frame"
            )

    def within(self, n_frames: int) -> tuple[int, int]:
        """Return first and last frame number in a recording of `n_frames`.

        Raises
        ------
        ReplayError
            It starts beyond the last frame.
        """
        first = max(1, self.start)
        if first > n_frames:
            raise ReplayError(
                f"start = {self.start} is beyond the last frame, {n_frames}; "
                f"use a start from 1 to {n_frames}, or 0"
            )
        return first, min(self.end or n_frames, n_frames)


ALL = FrameRange()


@dataclass(slots=True)
class MasterSums:
    """What became of every selected frame of one channel."""

    path: Path
    start: SeriesStart
    channel: str
    n_frames: int
    """Frames of the whole recording."""
    first_frame: int
    """Number of the first selected frame, from 1; image_id is one less."""
    last_frame: int
    records: np.ndarray[Any, np.dtype[Any]]
    """(frames,) of `FRAME_RECORD` in order; a missing frame is all zero."""
    regions: np.ndarray[Any, np.dtype[Any]]
    """(frames, regions) of `REGION_ROW`, in the order of `selection.regions`."""
    selection: PixelSelection
    """What was counted."""
    reasons: dict[int, str] = field(default_factory=dict)
    """Frame number to the sentence that says why it was rejected."""
    problems: list[str] = field(default_factory=list)
    """What could not be read, by file and dataset."""

    @property
    def frames(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Frame numbers, from 1."""
        return np.arange(self.first_frame, self.last_frame + 1)

    @property
    def stored(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which frames have a sum."""
        return self._has(FrameFlag.STORED)

    @property
    def rejected(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which frames are there but could not be reduced."""
        return self._has(FrameFlag.REJECTED)

    @property
    def states(self) -> np.ndarray[Any, np.dtype[np.str_]]:
        """Per frame ``stored``, ``rejected`` or ``missing``."""
        given = np.where(self.rejected, "rejected", "missing")
        return np.where(self.stored, "stored", given)

    @property
    def totals(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Sums [counts]; `MISSING_TOTAL` where there is none."""
        missing = np.uint64(MISSING_TOTAL)
        return np.where(self.stored, self.records["total"], missing)

    def _has(self, flag: FrameFlag) -> np.ndarray[Any, np.dtype[np.bool_]]:
        found: np.ndarray[Any, np.dtype[np.bool_]] = (
            self.records["flags"] & np.uint16(flag) != 0
        )
        return found


def sum_master(
    path: Path,
    settings: Settings,
    frame_range: FrameRange = ALL,
    progress: Progress | None = None,
    *,
    channel: str | None = None,
    reducer: Reducer | None = None,
) -> MasterSums:
    """Reduce the frames of a recorded dataset.

    Parameters
    ----------
    path
        Detector's master file.
    settings
        `filter`, `mask`, `regions`, `reduce`, `replay.roots` and `stream.max_pixels`
        are used.
    frame_range
        Which frames.
    progress
        Told how far it is.
    channel
        Which channel; None: the first one.
    reducer
        To share one between files; None: one of its own.

    Returns
    -------
    MasterSums
        Exactly one entry per selected frame.

    Raises
    ------
    ReplayError
        The file holds nothing to process, or not the range or channel.
    ConfigError
        The filter contradicts itself for this detector.
    """
    with ExitStack() as stack:
        recording = stack.enter_context(
            open_master(path, settings.replay.roots, settings.stream.max_pixels)
        )
        task = _Task(path, recording, settings, frame_range, channel)
        if reducer is None:
            reducer = stack.enter_context(
                closing(Reducer(settings.reduce, settings.executor))
            )
        return task.run(reducer, progress)


class _Task:
    """One run over one recording."""

    def __init__(
        self,
        path: Path,
        recording: Recording,
        settings: Settings,
        frame_range: FrameRange,
        channel: str | None,
    ) -> None:
        self._recording = recording
        self._settings = settings.reduce
        channel = recording.channels[0] if channel is None else channel
        if channel not in recording.channels:
            raise ReplayError(
                f"{path} has no channel {channel!r}; it has "
                f"{', '.join(recording.channels)}"
            )
        first, last = frame_range.within(recording.n_frames)
        selection = _selection(settings, recording.start, channel)
        self._filter = selection.pixel_filter()
        self.sums = MasterSums(
            path=path,
            start=recording.start,
            channel=channel,
            n_frames=recording.n_frames,
            first_frame=first,
            last_frame=last,
            records=np.zeros(last - first + 1, FRAME_RECORD),
            regions=np.zeros((last - first + 1, len(selection.regions)), REGION_ROW),
            selection=selection,
        )
        self._flags = FrameFlag.FROM_FILE
        if recording.start.frame_time_s is not None:
            self._flags |= FrameFlag.TIME_COMPUTED
        self._stored = self._flags | FrameFlag.STORED
        if recording.start.dtype == np.uint8:
            self._stored |= FrameFlag.MAY_WRAP
        self._done = 0

    def run(self, reducer: Reducer, progress: Progress | None) -> MasterSums:
        """Keep the workers busy, with a bounded amount of data on the way."""
        sums = self.sums
        total = len(sums.records)
        most_images = max(1, total // (_FEWEST_RUNS * reducer.threads))
        most_runs = _RUNS_PER_THREAD * reducer.threads
        most_bytes = self._settings.max_pending_mb * 1_000_000
        pending: deque[tuple[Run, Future[Reduced]]] = deque()
        pending_bytes = 0
        for run in self._runs(most_images):
            nbytes = _in_memory(run.images)
            while pending and (
                len(pending) >= most_runs or pending_bytes + nbytes > most_bytes
            ):
                pending_bytes -= self._finish(*pending.popleft())
                if progress is not None:
                    progress(self._done, total)
            pending.append((run, reducer.submit(run.images, self._filter)))
            pending_bytes += nbytes
        while pending:
            self._finish(*pending.popleft())
            if progress is not None:
                progress(self._done, total)
        empty = sums.stored & (sums.records["kept"] == 0)
        sums.records["flags"][empty] |= np.uint16(FrameFlag.EMPTY)
        if progress is not None and self._done < total:
            progress(total, total)
        sums.problems = list(self._recording.problems)
        return sums

    def _runs(self, most_images: int) -> Iterator[Run]:
        """Yield what is to be reduced; take note of all else."""
        sums = self.sums
        base = sums.first_frame - 1
        found = self._recording.runs(sums.channel, base, sums.last_frame, most_images)
        for item in found:
            if isinstance(item, Run):
                yield item
            elif isinstance(item, Unusable):
                self._reject(item.image_id - base, item.reason, item.detail)
                self._done += 1
            else:
                assert isinstance(item, Hole)
                self._done += item.stop - item.first

    def _finish(self, run: Run, future: Future[Reduced]) -> int:
        """Write a run's results to their places; return its size in memory."""
        reduced = future.result()
        places = run.image_ids - (self.sums.first_frame - 1)
        records = reduced.records
        records["flags"] = self._stored
        records["start_ns"] = self._recording.starts_ns(run.image_ids)
        records["real_ns"] = self._recording.real_ns or 0
        self.sums.records[places] = records
        if reduced.regions.size:
            self.sums.regions[places] = reduced.regions
        for index, error in reduced.errors.items():
            self._reject(int(places[index]), error.reason, error.detail)
        self._done += len(places)
        return _in_memory(run.images)

    def _reject(self, place: int, reason: RejectReason, detail: str) -> None:
        sums = self.sums
        image_id = sums.first_frame - 1 + place
        record = sums.records[place]
        flags = self._flags | FrameFlag.REJECTED
        record["flags"] = flags | reason << REASON_SHIFT
        record["start_ns"] = self._recording.starts_ns(np.array([image_id]))[0]
        sums.reasons[image_id + 1] = detail


def _selection(settings: Settings, start: SeriesStart, channel: str) -> PixelSelection:
    """Return what is to be counted.

    Raises
    ------
    ConfigError
        Nothing could ever be kept, or the user's mask cannot be used.
    """
    if start.dtype is None or start.shape is None:
        raise ReplayError("type or shape of the images is unknown")
    selector = Selector.of(settings)
    selection = selector.select(start, channel, start.dtype, start.shape)
    if selection.high_from != "settings":
        stated = Selector(FilterSettings()).select(
            start, channel, start.dtype, start.shape
        )
        if selection.low > stated.high:
            raise ConfigError(
                f"filter.low = {selection.low} is above the upper limit {stated.high} "
                f"(auto: {stated.high_from}); lower it, or set filter.high, at most "
                f"{cap_of(start.dtype)}"
            )
    return selection


def _in_memory(images: Images) -> int:
    """Return how much memory images take that wait to be reduced [bytes]."""
    if isinstance(images, ChunkRun):
        return 0
    return sum(len(image.payload) for image in images)
