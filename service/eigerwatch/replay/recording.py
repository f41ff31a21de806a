"""A recorded series, run by run of its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from eigerwatch.errors import ReplayError
from eigerwatch.log import printable
from eigerwatch.model import (
    DEFAULT_CHANNEL,
    ChunkRun,
    Encoding,
    Image,
    Images,
    PixelMask,
    RejectReason,
    SeriesStart,
)
from eigerwatch.replay import wire
from eigerwatch.replay.confine import Confinement
from eigerwatch.replay.facts import announced, seconds, whole
from eigerwatch.replay.process import ReaderProcess

_ENCODINGS = {
    wire.MODE_NONE: Encoding.NONE,
    wire.MODE_LZ4: Encoding.LZ4,
    wire.MODE_BSLZ4: Encoding.BSLZ4,
    wire.MODE_BSZSTD: Encoding.BSZSTD,
}
ImageIds = np.ndarray[Any, np.dtype[np.int64]]
_Rows = np.ndarray[Any, np.dtype[Any]]

_STRIDE = 1 << 16
_RUN_BYTES = 32_000_000
_RESTARTS = 3
_MAX_PROBLEM = 1000
_LATEST_NS = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Images that are reduced together."""

    image_ids: ImageIds
    """(n,), ascending."""
    images: Images


@dataclass(frozen=True, slots=True)
class Unusable:
    """An image that is there but cannot be used."""

    image_id: int
    reason: RejectReason
    detail: str


@dataclass(frozen=True, slots=True)
class Hole:
    """Frames that the file announces and does not hold."""

    first: int
    """First missing image_id."""
    stop: int
    """First image_id after them."""


def open_master(
    path: Path,
    roots: Sequence[Path] = (),
    max_pixels: int = 64_000_000,
    *,
    wait_s: float = 3.0,
    silence_s: float = 60.0,
) -> Recording:
    """Open a detector's master, or a file with images of its own.

    Parameters
    ----------
    path
        HDF5 file.
    roots
        Folders that its links may lead into, besides its own.
    max_pixels
        Largest image accepted [pixels].
    wait_s
        How long to wait for files that are being written [s].
    silence_s
        Longest time that HDF5 may take for one file [s].

    Raises
    ------
    ReplayError
        It holds no series that can be processed; one sentence with the cure.
    """
    real = Path(path).resolve()
    Confinement(real).check(real, str(path))
    process = ReaderProcess(real, roots, max_pixels, wait_s, silence_s)
    try:
        return Recording(real, process, Confinement(real, roots))
    except BaseException:
        process.close()
        raise


class Recording:
    """An open master; a context manager, for one thread.

    Attributes
    ----------
    start
        What is known about the series.
    n_frames
        Frames on the axis, missing ones included: image_id 0 to n_frames - 1.
    channels
        Names of the channels.
    real_ns
        Exposure [ns], or None.
    problems
        What could not be read, one sentence each, naming file and dataset. Grows
        while `runs` is consumed.
    """

    def __init__(
        self, path: Path, process: ReaderProcess, confinement: Confinement
    ) -> None:
        self.path = path
        self._process = process
        self._index = index = process.open()
        self._restarts = _RESTARTS
        for file in {segment.file for segment in index.segments}:
            confinement.check(Path(file).resolve(), file)
        self.problems = [printable(p, _MAX_PROBLEM) for p in index.problems]
        self.n_frames = index.n_frames
        self.channels = tuple(name or DEFAULT_CHANNEL for name in index.channels)
        self._dtype = np.dtype(index.dtype)
        self.start = self._series_start()
        self.start.pixel_masks = self._masks()
        frame_time, count_time = self.start.frame_time_s, self.start.count_time_s
        self._frame_time_ns = None if frame_time is None else frame_time * 1e9
        self.real_ns = None if count_time is None else round(count_time * 1e9)
        self._block: tuple[int, int, bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the reader process."""
        self._process.close()

    @property
    def reader_pid(self) -> int | None:
        """Process id of the reader process; None when it is gone."""
        return self._process.pid

    def runs(
        self,
        channel: str,
        first: int = 0,
        stop: int | None = None,
        most_images: int = _STRIDE,
    ) -> Iterator[Run | Unusable | Hole]:
        """Yield the images of a channel in order of image_id.

        Parameters
        ----------
        channel
            One of `channels`.
        first, stop
            Range of image_id, `stop` excluded; None: to the end.
        most_images
            In one run.
        """
        positions = self._positions(self.channels.index(channel))
        stop = self.n_frames if stop is None else min(stop, self.n_frames)
        hole: int | None = None
        for block in range(max(0, first), stop, _STRIDE):
            places = positions[block : min(block + _STRIDE, stop)]
            rows = self._index.rows[np.maximum(places, 0)]
            kinds = rows["segment"].astype(np.int64) * 256 + rows["mode"]
            kinds[places < 0] = -1
            for begin, end in _stretches(kinds):
                if kinds[begin] < 0:
                    hole = block + begin if hole is None else hole
                    continue
                if hole is not None:
                    yield Hole(hole, block + begin)
                    hole = None
                image_ids = np.arange(block + begin, block + end)
                yield from self._usable(image_ids, rows[begin:end], most_images)
        if hole is not None:
            yield Hole(hole, stop)
        self._note_changes()

    def _usable(
        self, image_ids: ImageIds, rows: _Rows, most: int
    ) -> Iterator[Run | Unusable]:
        """Yield images that lie in one segment in the same way."""
        number, mode = int(rows["segment"][0]), int(rows["mode"][0])
        segment = self._index.segments[number]
        encoding = _ENCODINGS.get(mode)
        if segment.fault:
            reason, detail = RejectReason.CONTRADICTION, segment.fault
        elif encoding is not None:
            for part in _parts(rows, most):
                yield Run(image_ids[part], self._chunks(segment, encoding, rows[part]))
            return
        elif mode == wire.MODE_PIPELINE:
            yield from self._decoded(number, image_ids, rows["offset"].tolist(), most)
            return
        else:
            reason = RejectReason.READ
            detail = (
                f"{Path(segment.file).name}:{segment.dataset}: the image is only "
                "partly written, or its chunk has an impossible size"
            )
        for image_id in image_ids.tolist():
            yield Unusable(image_id, reason, printable(detail, _MAX_PROBLEM))

    def _chunks(
        self, segment: wire.Segment, encoding: Encoding, rows: _Rows
    ) -> ChunkRun:
        return ChunkRun(
            segment.file,
            encoding,
            self._dtype,
            self._index.shape,
            np.ascontiguousarray(rows["offset"]),
            np.ascontiguousarray(rows["size"]),
        )

    def _decoded(
        self, number: int, image_ids: ImageIds, places: list[int], most: int
    ) -> Iterator[Run | Unusable]:
        """Yield images that HDF5 has to decode, as many as are read at once."""
        most = min(most, self._index.segments[number].block)
        ids: list[int] = []
        images: list[Image] = []
        for image_id, place in zip(image_ids.tolist(), places, strict=True):
            try:
                pixels = self._pixels(number, place)
            except ReplayError as exc:
                if images:
                    yield Run(np.array(ids), images)
                    ids, images = [], []
                text = printable(str(exc), _MAX_PROBLEM)
                yield Unusable(image_id, RejectReason.READ, text)
                continue
            ids.append(image_id)
            images.append(
                Image(
                    DEFAULT_CHANNEL,
                    Encoding.NONE,
                    self._dtype,
                    self._index.shape,
                    pixels,
                )
            )
            if len(images) == most:
                yield Run(np.array(ids), images)
                ids, images = [], []
        if images:
            yield Run(np.array(ids), images)

    def starts_ns(self, image_ids: ImageIds) -> ImageIds:
        """Return image_id x frame_time [ns]; 0 where that is unknown or too large."""
        if self._frame_time_ns is None:
            return np.zeros(len(image_ids), np.int64)
        starts = np.rint(image_ids * self._frame_time_ns)
        return np.where(starts < _LATEST_NS, starts, 0).astype(np.int64)

    def _pixels(self, number: int, place: int) -> memoryview:
        """Return one image that HDF5 has to decode."""
        segment = self._index.segments[number]
        size = segment.shape[0] * segment.shape[1] * self._dtype.itemsize
        first = place // segment.block * segment.block
        if self._block is None or self._block[:2] != (number, first):
            self._block = None
            self._block = (number, first, self._read(number, first, segment.block))
        start = (place - first) * size
        pixels = memoryview(self._block[2])[start : start + size]
        if len(pixels) != size:
            raise ReplayError(f"{segment.file}:{segment.dataset} was cut short")
        return pixels

    def _read(self, number: int, first: int, count: int) -> bytes:
        segment = self._index.segments[number]
        try:
            if self._process.pid is None:
                self._restart()
            return self._process.read(number, first, count)
        except ReplayError as exc:
            where = f"{Path(segment.file).name}:{segment.dataset}, image {first}"
            raise ReplayError(f"{where}: {exc}") from exc

    def _restart(self) -> None:
        """Start another reader process for the images after the fatal one."""
        if self._restarts == 0:
            raise ReplayError("the reader process died too often")
        self._restarts -= 1
        index = self._process.open()
        if not np.array_equal(index.rows, self._index.rows):
            self._restarts = 0
            self._process.stop()
            raise ReplayError("the file was changed while it was read")

    def _positions(self, number: int) -> ImageIds:
        """Return per image_id the row of a channel, -1 where there is none."""
        rows = self._index.rows
        positions = np.full(self.n_frames, -1, np.int64)
        chosen = np.flatnonzero(rows["channel"] == number)
        positions[rows["image_id"][chosen]] = chosen
        return positions

    def _series_start(self) -> SeriesStart:
        header = self._index.header
        serial = header.get("detector_number", header.get("serial_number"))
        detector = header.get("description")
        return SeriesStart(
            series_id=0,
            channels=self.channels,
            shape=self._index.shape,
            dtype=self._dtype,
            number_of_images=announced(header),
            frame_time_s=seconds(header, "frame_time"),
            count_time_s=seconds(header, "count_time"),
            detector=None if detector is None else printable(str(detector)),
            serial=None if serial is None else printable(str(serial)),
            saturation_value=whole(header, "saturation_value"),
            countrate_cutoff=whole(header, "countrate_correction_count_cutoff"),
            header=header,
            stream="file",
        )

    def _masks(self) -> dict[str, PixelMask]:
        """Return the detector's pixel masks by channel; a fault costs only them."""
        try:
            masks, problems = self._process.masks()
        except ReplayError as exc:
            masks, problems = {}, [f"the pixel mask is not used: {exc}"]
        self.problems += [printable(p, _MAX_PROBLEM) for p in problems]
        return {name or DEFAULT_CHANNEL: mask for name, mask in masks.items()}

    def _note_changes(self) -> None:
        """Say so where a file is not what it was when it was opened."""
        for file, before in self._index.stamps.items():
            try:
                same = wire.stamp(file) == before
            except OSError:
                same = False
            text = f"{printable(file)} was changed while it was read; run again"
            if not same and text not in self.problems:
                self.problems.append(text)


def _stretches(kinds: np.ndarray[Any, Any]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of every stretch of equal values."""
    ends = [*(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(kinds)]
    begin = 0
    for end in ends:
        yield begin, end
        begin = end


def _parts(rows: _Rows, most: int) -> Iterator[slice]:
    """Cut chunks into runs of at most so many images, and not too many bytes."""
    mean = max(1, int(rows["size"].mean()))
    n = max(1, min(most, _RUN_BYTES // mean))
    for begin in range(0, len(rows), n):
        yield slice(begin, begin + n)
