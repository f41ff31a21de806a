"""Turns what the pipeline reports into idempotent Redis commands.

Long for one reason: every kind of operation adds to the same batch and to the same
picture of what each series' keys hold, so none can be told without the others.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eigerwatch.log import printable
from eigerwatch.model import FRAME_RECORD, REGION_ROW, FrameFlag
from eigerwatch.store import keys
from eigerwatch.store.memory import ChannelMemory
from eigerwatch.store.operations import (
    Append,
    Close,
    Event,
    Extend,
    Ledger,
    Mask,
    Open,
    Operation,
    Reject,
    Update,
    Value,
)
from eigerwatch.store.spool import Command

TICKS_LENGTH = 20_000
"""Entries kept in the ticks stream, roughly."""
EVENTS_LENGTH = 20_000
"""Entries kept in the events stream, roughly."""
WORD_BYTES = 48
"""What Python takes for a word of a command, besides its bytes."""
CLOSED_KEPT = 256
"""Closed series of which the names of keys are remembered."""
OPENED = "opened"
"""Field of `meta` that only opening writes: when it is gone, the series is gone."""


@dataclass(slots=True)
class Batch:
    """The commands of one flush, one MULTI/EXEC."""

    commands: list[Command] = field(default_factory=list)
    bytes: int = 0
    records: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Records per series that cannot be stored at all."""


@dataclass(slots=True)
class Channel:
    """What the writer knows about one channel's keys."""

    memory: ChannelMemory
    slots: int | None = None
    """Region rows per frame, fixed by the first ones."""
    mask: bytes = b""
    """The detector's pixel mask, as it is stored; empty: not told."""
    maybe_rejected: bool = True
    """False once the server said that nothing is rejected."""


@dataclass(slots=True)
class Series:
    """What the writer knows about one series' keys."""

    meta: dict[str, bytes] = field(default_factory=dict)
    opened: bytes = b""
    announced: int | None = None
    pinned: bool = False
    closed: bool = False
    channels: dict[str, Channel] = field(default_factory=dict)
    created: set[str] = field(default_factory=set)
    """Keys that were given their size and TTL."""


def encode(value: Value) -> bytes:
    """Return a meta value as Redis stores it."""
    if isinstance(value, bool):
        return b"1" if value else b"0"
    return str(value).encode("utf-8", "replace")


class Builder:
    """Builds batches and remembers which keys exist.

    Parameters
    ----------
    token
        Unique for this process; part of every entry's ``id``.
    ttl_ms
        Life of a key after its last write.
    max_frames
        Frame numbers from here on are refused.
    memory_bytes
        Records kept in memory, to be written again if the server loses them.
    """

    def __init__(
        self, token: str, ttl_ms: int, max_frames: int, memory_bytes: int
    ) -> None:
        self._token = token
        self._ttl = b"%d" % ttl_ms
        self._max_frames = max_frames
        self._memory_bytes = memory_bytes
        self._sequence = itertools.count(1)  # any thread may draw from it
        self.series: OrderedDict[str, Series] = OrderedDict()
        self.trouble: str | None = None
        """Newest sentence about something that cannot be stored."""

    def next_id(self) -> str:
        """Return an id for a stream entry, unique for ever."""
        return f"{self._token}-{next(self._sequence)}"

    def build(self, operations: Iterable[Operation]) -> Batch:
        """Return the commands of one flush, in the order of `operations`."""
        batch = Batch()
        now_ms = time.time_ns() // 1_000_000
        waiting: dict[tuple[str, str], list[Append]] = {}
        ledgers: dict[str, dict[str, bytes]] = {}
        touched: dict[str, None] = {}
        ticks: list[tuple[str, str, np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []

        def settle(place: tuple[str, str]) -> None:
            if appends := waiting.pop(place, None):
                stored = self._append(batch, *place, appends)
                if stored is not None:
                    ticks.append((*place, *stored))

        for operation in operations:
            key = operation.key
            touched[key] = None
            series = self._series(key)
            match operation:
                case Append(channel=channel):
                    waiting.setdefault((key, channel), []).append(operation)
                case Reject(channel=channel):
                    settle((key, channel))
                    self._reject(batch, operation)
                case Extend(channel=channel, highest=highest):
                    settle((key, channel))
                    self._extend(batch, key, channel, highest)
                case Ledger(channel=channel, counts=counts):
                    name = keys.ledger_field(channel)
                    ledgers.setdefault(key, {})[name] = json.dumps(
                        {k: int(v) for k, v in counts.items()}
                    ).encode()
                case Event(fields=fields):
                    self._event(batch, key, fields)
                case Mask():
                    self._mask(batch, operation)
                case Open() | Update() | Close():
                    for place in [p for p in waiting if p[0] == key]:
                        settle(place)
                    if isinstance(operation, Open):
                        self._open(batch, operation)
                    else:
                        self._set_meta(batch, key, operation.meta)
                        series.closed |= isinstance(operation, Close)
        for place in list(waiting):
            settle(place)
        for key, counts_of in ledgers.items():
            self._series(key).meta.update(counts_of)
            self._hset(batch, key, counts_of)
        for key, channel, ids, totals in ticks:
            self._tick(batch, key, channel, ids, totals, now_ms)
        for key in touched:
            self._add(batch, "ZADD", keys.SERIES, "GT", now_ms, key)
            self._forget_closed(key)
        self._bound_memory()
        return batch

    def again(self, key: str) -> list[Operation]:
        """Return everything still known of a series that the server lost."""
        series = self.series[key]
        series.created.clear()
        known: list[Operation] = []
        for name, channel in series.channels.items():
            memory = channel.memory
            memory.written = 0
            if channel.mask:
                known.append(Mask(key, name, channel.mask))
            known += [Append(key, name, *part) for part in memory.stored()]
            known += [Reject(key, name, i, r, None) for i, r in memory.rejected.items()]
            if memory.highest >= 0:
                known.append(Extend(key, name, memory.highest))
        return known

    def rewrite_meta(self, key: str) -> Batch:
        """Return the commands that write the meta of a lost series again."""
        batch = Batch()
        series = self.series[key]
        self._hset(batch, key, {**series.meta, OPENED: series.opened})
        return batch

    def memory_of(self, key: str) -> tuple[int, int]:
        """Return how many frames are held in memory, and how many were written."""
        channels = self._series(key).channels.values()
        return (
            sum(c.memory.held() for c in channels),
            sum(c.memory.written for c in channels),
        )

    # One method per kind of operation.

    def _open(self, batch: Batch, operation: Open) -> None:
        series = self._series(operation.key)
        series.opened = self.next_id().encode()
        series.closed = False
        meta = {"started_ms": operation.started_ms, **operation.meta}
        self._set_meta(batch, operation.key, {**meta, OPENED: series.opened.decode()})

    def _set_meta(self, batch: Batch, key: str, meta: Mapping[str, Value]) -> None:
        series = self._series(key)
        fields = {name: encode(value) for name, value in meta.items()}
        series.meta.update(fields)
        if "number_of_images" in meta:
            try:
                series.announced = int(meta["number_of_images"])
            except ValueError:
                series.announced = None
        if "pinned" in meta:
            series.pinned = fields["pinned"] == b"1"
        if fields:
            self._hset(batch, key, fields)

    def _mask(self, batch: Batch, operation: Mask) -> None:
        series = self._series(operation.key)
        self._channel(series, operation.channel).mask = operation.data
        name = keys.mask(operation.key, operation.channel)
        self._add(batch, "SET", name, operation.data)
        series.created.discard(name)  # SET takes the TTL away
        self._created(batch, series, name)

    def _append(
        self, batch: Batch, key: str, channel: str, appends: Sequence[Append]
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
        series = self._series(key)
        state = self._channel(series, channel)
        ids = _joined([a.image_ids for a in appends])
        records = _joined([a.records for a in appends])
        regions = self._region_rows(batch, key, channel, appends)
        usable = (ids >= 0) & (ids < self._max_frames)
        if not usable.all():
            self._refuse(batch, key, int(ids.size - usable.sum()))
            ids, records = ids[usable], records[usable]
            regions = None if regions is None else regions[usable]
        if ids.size == 0:
            return None
        if ids.size > 1 and not (np.diff(ids) > 0).all():
            # The last of several copies wins, as if they had been written in turn.
            order = np.argsort(ids, kind="stable")
            last = np.append(np.diff(ids[order]) > 0, True)
            order = order[last]
            ids, records = ids[order], records[order]
            regions = None if regions is None else regions[order]
        stored_bits = FrameFlag.STORED.value
        records["flags"] = (
            records["flags"] & ~np.uint16(FrameFlag.REJECTED)
        ) | np.uint16(stored_bits)
        self._rows(batch, key, channel, series, ids, records, regions)
        ok = keys.ok(key, channel)
        starts = np.flatnonzero(np.append(True, np.diff(ids) != 1))
        for first, count in _runs(starts, ids):
            self._add(batch, "SETRANGE", ok, first, b"\x01" * count)
        self._created(batch, series, ok)
        if state.maybe_rejected:
            self._add(
                batch,
                "HDEL",
                keys.rejected(key, channel),
                *(b"%d" % i for i in ids.tolist()),
            )
        state.memory.store(ids, records, regions)
        batch.records += int(ids.size)
        return ids, records["total"]

    def _rows(
        self,
        batch: Batch,
        key: str,
        channel: str,
        series: Series,
        ids: np.ndarray[Any, Any],
        records: np.ndarray[Any, Any],
        regions: np.ndarray[Any, Any] | None,
    ) -> None:
        chunks = ids // keys.CHUNK_FRAMES
        within = ids - chunks * keys.CHUNK_FRAMES
        cut = np.append(True, (np.diff(ids) != 1) | (within[1:] == 0))
        starts = np.flatnonzero(cut).tolist()
        kinds = [(keys.rows, records, keys.ROW_BYTES)]
        if regions is not None:
            width = regions.shape[1] * REGION_ROW.itemsize
            kinds.append((keys.regions, regions, width))
        for first, end in zip(starts, [*starts[1:], ids.size], strict=True):
            chunk = int(chunks[first])
            for name_of, table, width in kinds:
                name = name_of(key, channel, chunk)
                if name not in series.created:
                    size = self._chunk_rows(series, chunk) * width
                    if size:
                        # Final size at once and one byte more; adding 0 never
                        # overwrites what an earlier process wrote there.
                        self._add(batch, *grow(encode(name), size))
                    self._created(batch, series, name)
                offset = int(within[first]) * width
                self._add(batch, "SETRANGE", name, offset, table[first:end].tobytes())

    def _reject(self, batch: Batch, operation: Reject) -> None:
        key, channel, image_id = operation.key, operation.channel, operation.image_id
        if not 0 <= image_id < self._max_frames:
            self._refuse(batch, key, 1)
            return
        series = self._series(key)
        state = self._channel(series, channel)
        state.maybe_rejected = True
        name = keys.rejected(key, channel)
        self._add(batch, "HSET", name, image_id, printable(operation.reason))
        self._created(batch, series, name)
        ok = keys.ok(key, channel)
        self._add(batch, "SETRANGE", ok, image_id, b"\0")
        self._created(batch, series, ok)
        if operation.record is not None:
            record = operation.record.reshape(1).astype(FRAME_RECORD)
            record["flags"] = (
                record["flags"] & ~np.uint16(FrameFlag.STORED)
            ) | np.uint16(FrameFlag.REJECTED)
            ids = np.array([image_id], np.int64)
            self._rows(batch, key, channel, series, ids, record, None)
        state.memory.reject(image_id, operation.reason)

    def _extend(self, batch: Batch, key: str, channel: str, highest: int) -> None:
        if not 0 <= highest < self._max_frames:
            self._refuse(batch, key, 0)
            return
        series = self._series(key)
        ok = keys.ok(key, channel)
        self._add(batch, *grow(encode(ok), highest))
        self._created(batch, series, ok)
        memory = self._channel(series, channel).memory
        memory.highest = max(memory.highest, highest)

    def _event(self, batch: Batch, key: str, fields: Mapping[str, str]) -> None:
        self._stream(batch, keys.events(key), EVENTS_LENGTH, fields)
        self._created(batch, self._series(key), keys.events(key))

    def _tick(
        self,
        batch: Batch,
        key: str,
        channel: str,
        ids: np.ndarray[Any, Any],
        totals: np.ndarray[Any, Any],
        now_ms: int,
    ) -> None:
        values = totals.astype(np.float64)
        mean = float(values.mean())
        cv = 0.0
        if values.size > 1 and mean > 0:
            values -= mean
            cv = 100 * math.sqrt(float(values @ values) / (values.size - 1)) / mean
        self._stream(
            batch,
            keys.ticks(key),
            TICKS_LENGTH,
            {
                "id": self.next_id(),
                "channel": channel,
                "lo": str(int(ids[0])),
                "hi": str(int(ids[-1])),
                "n": str(ids.size),
                "mean": repr(mean),
                "cv": repr(cv if math.isfinite(cv) else 0.0),
                "ms": str(now_ms),
            },
        )
        self._created(batch, self._series(key), keys.ticks(key))

    # Building blocks.

    def _series(self, key: str) -> Series:
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = Series()
        return series

    def _channel(self, series: Series, channel: str) -> Channel:
        state = series.channels.get(channel)
        if state is None:
            state = series.channels[channel] = Channel(ChannelMemory())
        return state

    def _chunk_rows(self, series: Series, chunk: int) -> int:
        """Return the rows to reserve; 0: let the string grow."""
        if series.announced is None:
            return 0 if chunk == 0 else keys.CHUNK_FRAMES
        left = series.announced - chunk * keys.CHUNK_FRAMES
        return max(0, min(keys.CHUNK_FRAMES, left))

    def _region_rows(
        self, batch: Batch, key: str, channel: str, appends: Sequence[Append]
    ) -> np.ndarray[Any, Any] | None:
        series = self._series(key)
        state = self._channel(series, channel)
        widths = [a.regions.shape[1] for a in appends if a.regions is not None]
        if not widths or max(widths) == 0:
            return None
        if state.slots is None:
            # Stated by an earlier process whose rows lie there already.
            stated = series.meta.get(keys.slots_field(channel), b"")
            state.slots = int(stated) if stated.isdigit() else max(widths)
            self._set_meta(batch, key, {keys.slots_field(channel): state.slots})
        if max(widths) > state.slots:
            self.trouble = (
                f"only the first {state.slots} of {max(widths)} regions are stored: "
                "more regions than a series began with count from the next series on"
            )
        total = sum(a.image_ids.size for a in appends)
        table = np.zeros((total, state.slots), REGION_ROW)
        at = 0
        for a in appends:
            if a.regions is not None:
                part = a.regions[:, : state.slots]
                table[at : at + a.image_ids.size, : part.shape[1]] = part
            at += a.image_ids.size
        return table

    def _refuse(self, batch: Batch, key: str, records: int) -> None:
        batch.refused[key] = batch.refused.get(key, 0) + records
        self.trouble = (
            f"frame numbers of {key} outside 0 to {self._max_frames - 1} are not "
            "stored: raise store.max_frames if they are meant"
        )

    def _created(self, batch: Batch, series: Series, name: str) -> None:
        """Give a key its TTL in the transaction that makes it."""
        if name not in series.created:
            series.created.add(name)
            if not series.pinned:
                self._add(batch, "PEXPIRE", name, self._ttl)

    def _hset(self, batch: Batch, key: str, fields: Mapping[str, bytes]) -> None:
        name = keys.meta(key)
        words = [word for item in fields.items() for word in item]
        self._add(batch, "HSET", name, *words)
        self._created(batch, self._series(key), name)

    def _stream(
        self, batch: Batch, name: str, length: int, fields: Mapping[str, str]
    ) -> None:
        words = [word for item in fields.items() for word in item]
        self._add(batch, "XADD", name, "MAXLEN", "~", length, "*", *words)

    def _add(self, batch: Batch, *words: str | int | bytes) -> None:
        command = tuple(w if isinstance(w, bytes) else encode(w) for w in words)
        batch.commands.append(command)
        batch.bytes += sum(map(len, command)) + WORD_BYTES * len(command)

    def _forget_closed(self, key: str) -> None:
        if not self.series[key].closed:
            return
        for channel in self.series[key].channels.values():
            channel.memory.clear()
        self.series.move_to_end(key)
        closed = [k for k, s in self.series.items() if s.closed]
        for old in closed[:-CLOSED_KEPT]:
            del self.series[old]

    def _bound_memory(self) -> None:
        memories = [c.memory for s in self.series.values() for c in s.channels.values()]
        excess = sum(m.bytes for m in memories) - self._memory_bytes
        for memory in memories:
            while excess > 0 and memory.bytes:
                excess -= memory.drop_oldest()


def _joined(parts: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    if len(parts) == 1:
        return parts[0]
    # Joined as bytes: numpy.concatenate compares the fields of records one by one,
    # twenty times slower.
    data = bytearray(b"".join([part.tobytes() for part in parts]))
    return np.frombuffer(data, parts[0].dtype)


def _runs(
    starts: np.ndarray[Any, Any], ids: np.ndarray[Any, Any]
) -> Iterable[tuple[int, int]]:
    counts = np.diff(np.append(starts, ids.size))
    return zip(ids[starts].tolist(), counts.tolist(), strict=True)


def grow(name: bytes, offset: int) -> Command:
    """Make a string reach `offset` with zeros; never changes a byte that is there."""
    return (b"BITFIELD", name, b"INCRBY", b"u8", b"#%d" % offset, b"0")
