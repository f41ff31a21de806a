"""The data path: receive, decode, track, reduce, store. Read `Pipeline.step` first."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np
import structlog

from eigerwatch.bookkeeping import Bookkeeper
from eigerwatch.errors import DecodeError, KernelError
from eigerwatch.masks import packed
from eigerwatch.model import (
    FRAME_RECORD,
    FrameFlag,
    Message,
    SeriesStart,
    SourceKind,
    SourceState,
)
from eigerwatch.picturing import PreviewMaker
from eigerwatch.receive import BURST, Receiver
from eigerwatch.recent import RecentRecords
from eigerwatch.reduce import Reduced, decode_image, kernel_name
from eigerwatch.series.instructions import (
    Closed,
    FrameReady,
    Instruction,
)
from eigerwatch.series.ledger import ACCEPTED, REJECTED
from eigerwatch.series.state import Series
from eigerwatch.series.tracker import SeriesTracker
from eigerwatch.simplon.decoder import Decoder
from eigerwatch.store.write import Writer
from eigerwatch.workers import Reducer

log = structlog.get_logger()

_IDLE_WAIT_MS = 20
_BUSY_WAIT_MS = 4
_GATHER_S = 0.004
"""Pause in which messages gather, so that a batch's fixed costs are shared."""
_TICK_S = 0.1
_WATCH_S = 1.0


Batch = list[FrameReady]
"""Frames that are reduced together."""


class Pipeline:
    """Joins the parts of the data path; all of it but reducing is one thread.

    Parameters
    ----------
    receiver
        Source of raw messages.
    decoders, trackers
        One per source.
    reducer
        Workers.
    writer
        Takes records without ever waiting for Redis.
    batch_frames
        Most frames handed to a worker at once.
    max_pending_bytes
        Compressed data waiting to be reduced before reading stops [bytes].
    preview_s
        Time between two preview images of a channel [s]; 0: none are made.
    """

    def __init__(
        self,
        receiver: Receiver,
        decoders: dict[SourceKind, Decoder],
        trackers: dict[SourceKind, SeriesTracker],
        reducer: Reducer,
        writer: Writer,
        batch_frames: int,
        max_pending_bytes: int,
        preview_s: float = 0.0,
    ) -> None:
        self._receiver = receiver
        self._decoders = decoders
        self._trackers = trackers
        self._reducer = reducer
        self._writer = writer
        self._batch_frames = batch_frames
        self._max_pending_bytes = max_pending_bytes
        self._previews = PreviewMaker(reducer, writer, preview_s)
        self._waiting: list[FrameReady] = []
        self._done: deque[tuple[Batch, Future[Reduced]]] = deque()
        self._in_flight = 0
        self._pending_bytes = 0
        self._recent = RecentRecords()
        self._repeats: list[tuple[FrameReady, Reduced]] = []
        self._books = Bookkeeper(writer)
        self._next_tick = 0.0
        self._next_watch = 0.0
        self.reading_stopped = False
        self.images_reduced = 0
        for series in self._open_series():
            self._books.go_on(series)

    def step(self) -> None:
        """Move everything on that can move; wait a little when nothing can."""
        if self._pending_bytes < self._max_pending_bytes:
            self.reading_stopped = False
            wait_ms = _BUSY_WAIT_MS if self._in_flight else _IDLE_WAIT_MS
            n_messages = 0
            for source, parts in self._receiver.messages(wait_ms):
                n_messages += 1
                received_ns = time.time_ns()
                for message in self._decoders[source].feed(parts):
                    self._track(source, message, received_ns)
                if self._pending_bytes >= self._max_pending_bytes:
                    break
            if 0 < n_messages < BURST:
                time.sleep(_GATHER_S)
        else:
            self.reading_stopped = True
            time.sleep(_BUSY_WAIT_MS / 1000)
        self._submit()
        self._collect()
        self._pass_time()

    # Steps 4 and 5: bytes to messages to instructions

    def _track(
        self, source: SourceKind, message: Message | DecodeError, received_ns: int
    ) -> None:
        if isinstance(message, DecodeError):
            self._books.count_rejected(message.kind, str(message))
            return
        if isinstance(message, SeriesStart) and message.mask_images:
            self._unpack_masks(message)
        tracker = self._trackers[source]
        for instruction in tracker.accept(message, time.monotonic(), received_ns):
            if isinstance(instruction, FrameReady):
                self._waiting.append(instruction)
                self._pending_bytes += _nbytes(instruction)
            else:
                self._carry_out(instruction)

    def _unpack_masks(self, start: SeriesStart) -> None:
        """Turn the pixel masks of a header, which may be compressed, into bitmaps."""
        unpacked = {}
        for channel, image in start.mask_images.items():
            try:
                unpacked[channel] = packed(decode_image(image) != 0)
            except KernelError as exc:
                self._books.count_rejected("pixel mask", f"{channel}: {exc}")
        start.pixel_masks, start.mask_images = unpacked, {}

    # Step 6: reduce

    def _submit(self) -> None:
        """Share what is waiting among the workers."""
        self._previews.choose(self._waiting, time.monotonic())
        alike: dict[int, Batch] = {}
        for ready in self._waiting:
            alike.setdefault(id(ready.pixel_filter), []).append(ready)
        self._waiting = []
        for frames in alike.values():
            share = -(-len(frames) // self._reducer.threads)
            size = min(share, self._batch_frames)
            for first in range(0, len(frames), size):
                batch = frames[first : first + size]
                future = self._reducer.submit(
                    [ready.image for ready in batch], batch[0].pixel_filter
                )
                self._in_flight += 1
                future.add_done_callback(partial(self._note_done, batch))

    def _note_done(self, batch: Batch, future: Future[Reduced]) -> None:
        self._done.append((batch, future))

    def _collect(self) -> None:
        """Store what the workers have finished."""
        touched: dict[tuple[str, str], tuple[Series, str]] = {}
        while self._done:
            batch, future = self._done.popleft()
            self._in_flight -= 1
            self._pending_bytes -= sum(map(_nbytes, batch))
            self._finish(batch, future.result(), touched)
        self._repeats = [r for r in self._repeats if not self._compared(*r)]
        for series, channel in touched.values():
            self._books.write_ledger(series, channel)

    # Step 7: store

    def _finish(
        self,
        batch: Batch,
        reduced: Reduced,
        touched: dict[tuple[str, str], tuple[Series, str]],
    ) -> None:
        _complete(reduced.records, batch)
        self.images_reduced += len(batch)
        stored: dict[tuple[str, str], list[int]] = {}
        for index, ready in enumerate(batch):
            place = (ready.series.key, ready.channel)
            if place not in touched:
                touched[place] = (ready.series, ready.channel)
            if ready.duplicate or index in reduced.errors:
                self._finish_other(ready, reduced, index)
            else:
                stored.setdefault(place, []).append(index)
        for place, indices in stored.items():
            image_ids = [batch[index].image_id for index in indices]
            self._finished(batch[indices[0]], image_ids, stored=True)
            chosen = reduced if len(indices) == len(batch) else reduced.only(*indices)
            self._store(place, image_ids, chosen)

    def _finish_other(self, ready: FrameReady, reduced: Reduced, index: int) -> None:
        """Take what is not simply stored: a repeated frame, or a damaged one."""
        error = reduced.errors.get(index)
        if ready.duplicate:
            if error is None:
                self._repeats.append((ready, reduced.only(index)))
        elif error is not None:
            self._finished(ready, [ready.image_id], stored=False)
            self._books.reject(
                ready.series, ready.channel, ready.image_id, error, ready.received_ns
            )

    def _store(
        self, place: tuple[str, str], image_ids: list[int], reduced: Reduced
    ) -> None:
        numbers = np.array(image_ids, np.int64)
        self._recent.add(*place, numbers, reduced.records)
        self._writer.append(
            *place,
            numbers,
            reduced.records,
            reduced.regions if reduced.regions.size else None,
        )

    def _finished(
        self, ready: FrameReady, image_ids: list[int], *, stored: bool
    ) -> None:
        """Tell the ledger about frames of the series and channel of `ready`."""
        self._trackers[ready.series.source].finished(
            ready.series, ready.channel, image_ids, stored=stored
        )

    def _compared(self, ready: FrameReady, reduced: Reduced) -> bool:
        """Keep the first good one of two copies of a frame; flag a difference.

        Returns
        -------
        bool
            False while the first copy is still being reduced.
        """
        series, channel, image_id = ready.series, ready.channel, ready.image_id
        ledger = series.ledger(channel)
        status = ledger.status(image_id)
        if status == ACCEPTED:
            return False
        if status == REJECTED:
            ledger.accept(image_id)
            self._finished(ready, [image_id], stored=True)
            self._store((series.key, channel), [image_id], reduced)
        else:
            first = self._recent.get(series.key, channel, image_id)
            if first is None or same_counts(first, reduced.records[0]):
                return True
            ledger.conflicts += 1
            first["flags"] |= np.uint16(FrameFlag.CONFLICT)
            records = np.array([first], FRAME_RECORD)
            self._writer.append(series.key, channel, np.array([image_id]), records)
        self._books.write_ledger(series, channel)
        return True

    def _carry_out(self, instruction: Instruction) -> None:
        self._books.carry_out(instruction)
        if isinstance(instruction, Closed):
            self._recent.forget(instruction.series.key)
            self._previews.forget(instruction.series.key)

    def _pass_time(self) -> None:
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + _TICK_S
            for tracker in self._trackers.values():
                for instruction in tracker.tick(now):
                    self._carry_out(instruction)
        if now >= self._next_watch:
            self._next_watch = now + _WATCH_S
            self._receiver.watch()
            for series in self._open_series():
                self._books.refresh(series)

    def _open_series(self) -> Iterable[Series]:
        for tracker in self._trackers.values():
            yield from tracker.open_series

    def open_keys(self) -> list[str]:
        """Return the keys of the series that still expect frames; from any thread."""
        return [series.key for series in self._open_series()]

    def drain(self, timeout_s: float) -> None:
        """Stop reading; reduce and store what has come, then declare the holes."""
        deadline = time.monotonic() + timeout_s
        for source, decoder in self._decoders.items():
            for message in decoder.flush():
                self._track(source, message, time.time_ns())
        self._submit()
        while self._in_flight and time.monotonic() < deadline:
            self._collect()
            time.sleep(_BUSY_WAIT_MS / 1000)
        self._collect()
        for tracker in self._trackers.values():
            for instruction in tracker.close_all(time.monotonic()):
                self._carry_out(instruction)
            for series in tracker.open_series:
                self._books.write_ledgers(series)

    def status(self) -> dict[str, Any]:
        """Return what the page shows about the consumer; safe from any thread."""
        sources = {}
        for kind, tracker in self._trackers.items():
            series = tracker.current
            link = self._receiver.sources[kind].link
            sources[kind.value] = {
                "endpoint": link.endpoint,
                "connected": link.connected,
                "connections": link.connections,
                "state": (series.state if series else SourceState.NO_DATA).value,
                "series": series.key if series else None,
            }
        return {
            "sources": sources,
            "kernel": kernel_name(),
            "workers": self._reducer.where,
            "threads": self._reducer.threads,
            "images_reduced": self.images_reduced,
            "reading_stopped": self.reading_stopped,
            "pending_bytes": self._pending_bytes,
            "rejected_messages": dict(self._books.rejected_messages),
            "tee_dropped": self._receiver.tee_dropped,
        }


def _complete(records: np.ndarray[Any, np.dtype[Any]], batch: Batch) -> None:
    """Fill in what the kernel does not know."""
    records["start_ns"] = [ready.start_ns for ready in batch]
    records["real_ns"] = [ready.real_ns for ready in batch]
    records["received_ns"] = [ready.received_ns for ready in batch]
    flags = np.array([ready.flags for ready in batch], np.uint16)
    flags |= np.uint16(FrameFlag.STORED)
    flags[records["kept"] == 0] |= np.uint16(FrameFlag.EMPTY)
    records["flags"] = flags


def _nbytes(ready: FrameReady) -> int:
    """Return the compressed size of a frame's image [bytes]."""
    return len(ready.image.payload)


def same_counts(first: np.void, second: np.void) -> bool:
    """Tell whether two records of a frame count the same pixels."""
    names = ("total", "kept", "below", "above", "sentinel", "masked", "max_kept")
    return all(first[name] == second[name] for name in names)
