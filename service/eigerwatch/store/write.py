"""The writer: one thread that brings everything to Redis; nobody waits for it."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from eigerwatch.model import FRAME_RECORD, REGION_ROW, EventKind, PixelMask
from eigerwatch.sections import StoreSettings
from eigerwatch.store import keys, maskcodec
from eigerwatch.store import operations as ops
from eigerwatch.store.backlog import Backlog
from eigerwatch.store.commands import Builder
from eigerwatch.store.inbox import Inbox
from eigerwatch.store.losses import Losses
from eigerwatch.store.operations import Operation, Value
from eigerwatch.store.sender import Sender, disk_trouble
from eigerwatch.store.spool import Spool

log = structlog.get_logger()

BATCH_BYTES = 4 * 2**20
"""A flush takes about this much at most, so that one EXEC stays short."""
BACKOFF_S = 0.25
"""Pause after a failed attempt."""
MEMORY_BYTES = 4 * 2**20
"""Records of live series kept in case the server loses them: 65 000 frames. Little, so
that the process stays at one size however long a series is."""


@dataclass(frozen=True, slots=True)
class WriterStatus:
    """How storing goes."""

    connected: bool
    """The last exchange with Redis went well."""
    pending_bytes: int
    """Bytes in memory, not yet in Redis."""
    spooled_bytes: int
    """Bytes in the spool file, not yet in Redis."""
    lost_records: int
    """Records that could be kept nowhere."""
    last_error: str | None
    """One sentence with its cure; None while all is well."""
    last_flush_age_s: float | None
    """Time since Redis last answered [s]; None: never."""
    alive: bool = True
    """The writer's thread runs."""
    warnings: tuple[str, ...] = ()
    """What went wrong and is over, e.g. a series that had to be written again."""
    lost_entries: int = 0
    """Events, states and counts that could be kept nowhere."""


class Writer:
    """Brings records to Redis; every method only enqueues.

    Parameters
    ----------
    url
        The server.
    settings
        Flush interval, bounds of memory and spool, TTL.

    Raises
    ------
    StoreError
        The spool's folder cannot be used.
    """

    def __init__(self, url: str, settings: StoreSettings) -> None:
        self._flush_s = settings.flush_ms / 1000
        ring_bytes = settings.ring_mb * 10**6
        ttl_ms = max(1, round(settings.ttl_days * 86_400_000))
        spool = Spool(settings.data_dir / "spool", settings.spool_mb * 10**6)
        token = f"{os.getpid():x}{secrets.token_hex(6)}"
        self._backlog = Backlog(ring_bytes, spool)
        self._builder = Builder(token, ttl_ms, settings.max_frames, MEMORY_BYTES)
        self._losses = Losses()
        self._sender = Sender(
            url, ttl_ms, self._backlog, self._builder, self._losses, self.event
        )
        self._inbox = Inbox(ring_bytes)
        self._wake = threading.Event()
        self._stopping = False
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="store-writer")
        self._written = False

    # What the pipeline calls.

    def start(self) -> None:
        """Start the thread; a spool left by an earlier process is replayed first."""
        self._thread.start()

    def open_series(self, key: str, meta: Mapping[str, Value], started_ms: int) -> None:
        """Begin a series, or go on with it."""
        self._put(ops.Open(key, dict(meta), started_ms))

    def update_series(self, key: str, meta: Mapping[str, Value]) -> None:
        """Set fields of a series' meta."""
        self._put(ops.Update(key, dict(meta)))

    def mask(self, key: str, channel: str, mask: PixelMask) -> None:
        """Store the detector's own pixel mask."""
        self._put(ops.Mask(key, channel, maskcodec.encode(mask)))

    def append(
        self,
        key: str,
        channel: str,
        image_ids: np.ndarray[Any, Any],
        records: np.ndarray[Any, Any],
        regions: np.ndarray[Any, Any] | None = None,
    ) -> None:
        """Store frames; a frame that was stored or rejected before is replaced.

        Parameters
        ----------
        image_ids
            (n,) int64, any order.
        records
            (n,) of `FRAME_RECORD`; the stored bit is set here.
        regions
            (n, n_regions) of `REGION_ROW`, or None.
        """
        ids = np.array(image_ids, np.int64).reshape(-1)
        # As bytes: numpy copies records field by field.
        data = bytearray(np.asarray(records, FRAME_RECORD).tobytes())
        rows = np.frombuffer(data, FRAME_RECORD)
        table = None if regions is None else np.array(regions, REGION_ROW)
        if rows.size != ids.size or (table is not None and len(table) != ids.size):
            raise ValueError("as many records and region rows as image ids")
        if ids.size:
            self._put(ops.Append(key, channel, ids, rows, table))

    def reject(
        self,
        key: str,
        channel: str,
        image_id: int,
        reason: str,
        record: np.ndarray[Any, Any] | np.void | None = None,
    ) -> None:
        """Store that a frame came but cannot be used."""
        row = None if record is None else np.array(record, FRAME_RECORD).reshape(1)
        self._put(ops.Reject(key, channel, int(image_id), reason, row))

    def extend(self, key: str, channel: str, highest: int) -> None:
        """Store that frame numbers up to `highest` exist; negative: none is known."""
        if highest >= 0:
            self._put(ops.Extend(key, channel, int(highest)))

    def ledger(self, key: str, channel: str, counts: Mapping[str, int]) -> None:
        """Store the counts of one channel, with the rows that were queued before."""
        self._put(ops.Ledger(key, channel, dict(counts)))

    def event(self, key: str, kind: EventKind | str, fields: Mapping[str, str]) -> None:
        """Add an entry to the series' events; at least once, with one `id`."""
        entry = {
            "id": self._builder.next_id(),
            "ms": str(time.time_ns() // 1_000_000),
            "kind": str(kind),
        }
        entry.update({n: str(v) for n, v in fields.items() if n not in entry})
        self._put(ops.Event(key, entry))

    def preview(self, key: str, channel: str, image: bytes) -> None:
        """Replace the preview image; dropped while Redis is away."""
        self._sender.previews[keys.preview(key, channel)] = image

    def close_series(self, key: str, meta: Mapping[str, Value]) -> None:
        """End a series; frames may still come late."""
        self._put(ops.Close(key, dict(meta)))

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Write what is queued and end the thread.

        Returns
        -------
        bool
            True when Redis has everything. Otherwise the rest is in the spool and
            replayed at the next start.
        """
        self._deadline = time.monotonic() + timeout_s
        self._stopping = True
        self._wake.set()
        if self._thread.ident is None:
            self._backlog.spool.close()
            self._sender.close()
            return not self._inbox
        self._thread.join(timeout_s + 10)
        return self._written

    def status(self) -> WriterStatus:
        """Return how storing goes."""
        answered = self._sender.answered
        alive = self._thread.is_alive()
        error = self._sender.error
        if not alive and not self._stopping and self._thread.ident is not None:
            error = "the writer stopped by an error of its own: restart the service"
        return WriterStatus(
            connected=self._sender.connected and alive,
            pending_bytes=self._inbox.bytes + self._backlog.bytes,
            spooled_bytes=self._backlog.spool.bytes,
            lost_records=self._losses.count,
            last_error=error,
            last_flush_age_s=(
                None if answered is None else max(0.0, time.monotonic() - answered)
            ),
            alive=alive,
            warnings=tuple(self._losses.warnings),
            lost_entries=self._losses.entries,
        )

    # The thread.

    def _put(self, operation: Operation) -> None:
        # Only a stuck disk lets the inbox grow: the thread empties it before every
        # attempt to send.
        if not self._inbox.put(operation):
            records = ops.records_of(operation)
            self._losses.lose(operation.key, records, entries=int(not records))
            self._sender.error = (
                "records come faster than memory and spool take them: free the disk "
                "of store.data_dir, or raise store.ring_mb"
            )

    def _run(self) -> None:
        next_flush = retry_at = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= next_flush or self._stopping:
                self._collect()
                next_flush = now + self._flush_s
            if self._stopping and (not self._work_left() or now >= self._deadline):
                break
            if now >= retry_at:
                if self._backlog:
                    if self._sender.send_oldest():
                        continue
                    retry_at = time.monotonic() + BACKOFF_S
                elif not self._sender.maintain():
                    retry_at = time.monotonic() + BACKOFF_S
            until = max(retry_at, now) if self._backlog else next_flush
            pause = min(until, next_flush) - time.monotonic()
            if pause > 0:
                self._wake.wait(pause)
                if self._stopping:
                    self._wake.clear()
        self._finish()

    def _work_left(self) -> bool:
        return bool(self._backlog or self._inbox or self._sender.refresh)

    def _finish(self) -> None:
        self._written = (
            not self._backlog
            and not self._inbox
            and self._losses.count == self._losses.entries == 0
        )
        try:
            while self._inbox:
                self._collect()
            if not self._backlog.save():
                self._losses.lose("", self._backlog.records())
        except OSError as exc:
            self._losses.lose("", self._backlog.records())
            self._sender.error = disk_trouble(exc)
        if self._losses.count or self._losses.entries:
            log.error(
                "records lost",
                records=self._losses.count,
                entries=self._losses.entries,
                cause=self._sender.error,
            )
        self._backlog.spool.close()
        self._sender.close()

    def _collect(self) -> None:
        """Turn what was enqueued into one batch and queue it."""
        taken, size = self._inbox.take(BATCH_BYTES)
        if not taken:
            return
        batch = self._builder.build(taken)
        self._sender.refresh.update(o.key for o in taken if isinstance(o, ops.Close))
        for key, records in batch.refused.items():
            self._losses.lose(key, records)
        self._sender.keep(batch)
        # Only now: until here the records were on neither side.
        self._inbox.release(size)
