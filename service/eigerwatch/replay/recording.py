"""A recorded series, frame by frame."""

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
    BadFrame,
    Encoding,
    FileChunk,
    Frame,
    Image,
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
Row = tuple[int, ...]
"""One `wire.IMAGE_ROW`."""

_Positions = np.ndarray[Any, np.dtype[np.int64]]
_STRIDE = 4096
_RESTARTS = 3
_MAX_PROBLEM = 1000
_LATEST_NS = 2**63 - 1


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
        while `frames` is consumed.
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
        self._row_of = [self._positions(number) for number in range(len(self.channels))]
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

    def frames(
        self, first: int = 0, stop: int | None = None, channel: str | None = None
    ) -> Iterator[Frame | BadFrame | Hole]:
        """Yield frames in order of image_id.

        Parameters
        ----------
        first, stop
            Range of image_id, `stop` excluded; None: to the end.
        channel
            Only this channel; None: all of them in one `Frame`.
        """
        stop = self.n_frames if stop is None else min(stop, self.n_frames)
        numbers = (
            range(len(self.channels))
            if channel is None
            else [self.channels.index(channel)]
        )
        names = [self.channels[number] for number in numbers]
        hole: int | None = None
        for block in range(max(0, first), stop, _STRIDE):
            end = min(block + _STRIDE, stop)
            tables = [self._rows_between(number, block, end) for number in numbers]
            for image_id, rows in enumerate(zip(*tables, strict=True), block):
                if not any(rows):
                    hole = image_id if hole is None else hole
                    continue
                if hole is not None:
                    yield Hole(hole, image_id)
                    hole = None
                yield from self._frame(image_id, rows, names)
        if hole is not None:
            yield Hole(hole, stop)
        self._note_changes()

    def _frame(
        self, image_id: int, rows: tuple[Row | None, ...], names: Sequence[str]
    ) -> list[Frame | BadFrame]:
        """Return the frame, and what there is to say about unusable channels."""
        images: list[Image] = []
        found: list[Frame | BadFrame] = []
        for row, name in zip(rows, names, strict=True):
            if row is None:
                continue
            try:
                images.append(self._image(row, name))
            except _UnusableError as exc:
                text = printable(str(exc), _MAX_PROBLEM)
                found.append(BadFrame(0, image_id, exc.reason, text, (name,)))
        if images:
            start_ns = self.start_ns(image_id)
            frame = Frame(
                0, image_id, tuple(images), start_ns, self.real_ns, None, True
            )
            found.append(frame)
        return found

    def start_ns(self, image_id: int) -> int | None:
        """Return image_id x frame_time [ns], None where that is unknown."""
        if self._frame_time_ns is None:
            return None
        start = image_id * self._frame_time_ns
        return round(start) if start < _LATEST_NS else None

    def _image(self, row: Row, channel: str) -> Image:
        _, offset, size, number, _, mode, _ = row
        segment = self._index.segments[number]
        if segment.fault:
            raise _UnusableError(RejectReason.CONTRADICTION, segment.fault)
        payload: FileChunk | memoryview
        encoding = _ENCODINGS.get(mode)
        if encoding is not None:
            payload = FileChunk(segment.file, offset, size)
        elif mode == wire.MODE_PIPELINE:
            encoding, payload = Encoding.NONE, self._pixels(number, offset)
        else:
            raise _UnusableError(
                RejectReason.READ,
                f"{Path(segment.file).name}:{segment.dataset}: the image is only "
                "partly written, or its chunk has an impossible size",
            )
        return Image(channel, encoding, self._dtype, self._index.shape, payload)

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
            raise _UnusableError(
                RejectReason.READ, f"{segment.file}:{segment.dataset} was cut short"
            )
        return pixels

    def _read(self, number: int, first: int, count: int) -> bytes:
        segment = self._index.segments[number]
        try:
            if self._process.pid is None:
                self._restart()
            return self._process.read(number, first, count)
        except ReplayError as exc:
            where = f"{Path(segment.file).name}:{segment.dataset}, image {first}"
            raise _UnusableError(RejectReason.READ, f"{where}: {exc}") from exc

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

    def _positions(self, number: int) -> _Positions:
        """Return per image_id the row of a channel, -1 where there is none."""
        rows = self._index.rows
        positions = np.full(self.n_frames, -1, np.int64)
        chosen = np.flatnonzero(rows["channel"] == number)
        positions[rows["image_id"][chosen]] = chosen
        return positions

    def _rows_between(self, number: int, first: int, stop: int) -> list[Row | None]:
        positions = self._row_of[number][first:stop]
        rows: list[Row | None] = self._index.rows[np.maximum(positions, 0)].tolist()
        absent = np.flatnonzero(positions < 0).tolist()
        for index in absent:
            rows[index] = None
        return rows

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


class _UnusableError(Exception):
    """An image that is there but cannot be used."""

    def __init__(self, reason: RejectReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
