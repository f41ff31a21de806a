"""Reads stored series: list, ledgers, records, events; Redis and archive alike."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eigerwatch.errors import UnknownSeriesError
from eigerwatch.model import FRAME_RECORD, REGION_ROW, FrameFlag, PixelMask
from eigerwatch.store import keys, maskcodec
from eigerwatch.store.archive import Archive
from eigerwatch.store.client import Client, code_of, translated
from eigerwatch.store.events import (
    Entries,
    StoredEvent,
    as_entry,
    as_event,
    position_of,
)
from eigerwatch.store.info import SeriesInfo, ledger_of, series_info, text_of
from eigerwatch.store.lifetime import channels_of

CHUNKS_PER_READ = 10
"""Chunks asked for at once, so that no command blocks the server for long."""
BLOCK_MS = 500
"""Longest XREAD BLOCK: below every socket deadline."""
MAX_FRAMES = 2**26
"""Frames read of one channel, whatever the length of `ok`."""


class Reader:
    """Reads what is stored; may be shared by threads.

    Parameters
    ----------
    client
        Connection pool of `client.connect`.
    archive_dir
        Folder of archived series, or None.
    max_frames
        Most frames of one channel.
    """

    def __init__(
        self,
        client: Client,
        archive_dir: Path | None = None,
        max_frames: int = MAX_FRAMES,
    ) -> None:
        self._client = client
        self._archive = Archive(archive_dir) if archive_dir else None
        self._max_frames = max_frames

    def series(self, limit: int = 100, *, archived: bool = True) -> list[SeriesInfo]:
        """Return the newest series first, with those in the archive or not."""
        with translated():
            listed = self._client.zrevrange(keys.SERIES, 0, limit - 1, withscores=True)
        found: dict[str, SeriesInfo] = {}
        for member, score in listed:
            key = member.decode("utf-8", "replace")
            if not keys.is_series_key(key):
                continue
            try:
                found[key] = self._info(key, int(score))
            except UnknownSeriesError:
                continue
        if self._archive and archived:
            for info in self._archive.series(limit):
                found.setdefault(info.key, info)
        return sorted(found.values(), key=_newest_first)[:limit]

    def info(self, key: str) -> SeriesInfo:
        """Return what is known about one series.

        Raises
        ------
        UnknownSeriesError
            Neither Redis nor the archive has it.
        StoreError
            Redis is away or refuses.
        """
        if not keys.is_series_key(key):
            raise UnknownSeriesError(key)
        try:
            return self._info(key, None)
        except UnknownSeriesError:
            if self._archive and (archived := self._archive.find(key)):
                return archived
            raise

    def rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Return the records of image_ids start to stop, clipped to what exists.

        Rows that are not stored are all zero.
        """
        if not keys.is_series_key(key):
            raise UnknownSeriesError(key)
        frames = self._frames(key, channel)
        if frames == 0 and (archived := self._archived(key)) is not None:
            return archived.rows(key, channel, start, stop)
        start, stop = _clip(start, stop, frames)
        out = np.zeros(max(0, stop - start), FRAME_RECORD)
        ok = np.zeros(out.size, np.uint8)
        for begin, end in _groups(start, stop):
            names = [
                keys.rows(key, channel, k)
                for k in range(begin // keys.CHUNK_FRAMES, -(-end // keys.CHUNK_FRAMES))
            ]
            stored = keys.ok(key, channel)
            chunks, flags = self._chunks(names, keys.ROW_BYTES, begin, end, stored)
            for at, data in chunks:
                rows = np.frombuffer(
                    data, FRAME_RECORD, count=len(data) // keys.ROW_BYTES
                )
                rows = rows[: stop - at]
                out[at - start : at - start + rows.size] = rows
            ok[begin - start : begin - start + len(flags)] = flags
        bad = (ok != 1) | ((out["flags"] & np.uint16(FrameFlag.STORED)) == 0)
        if bad.any():
            out[bad] = np.zeros((), FRAME_RECORD)
        return out

    def region_rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Return (n, regions) of `REGION_ROW`, zero where nothing is stored.

        (n, 0) when the series has no regions.
        """
        if not keys.is_series_key(key):
            raise UnknownSeriesError(key)
        frames = self._frames(key, channel)
        if frames == 0 and (archived := self._archived(key)) is not None:
            return archived.region_rows(key, channel, start, stop)
        start, stop = _clip(start, stop, frames)
        slots = self._slots(key, channel)
        out = np.zeros((max(0, stop - start), slots), REGION_ROW)
        if slots == 0:
            return out
        width = slots * REGION_ROW.itemsize
        for begin, end in _groups(start, stop):
            names = [
                keys.regions(key, channel, k)
                for k in range(begin // keys.CHUNK_FRAMES, -(-end // keys.CHUNK_FRAMES))
            ]
            stored = keys.ok(key, channel)
            chunks, flags = self._chunks(names, width, begin, end, stored)
            for at, data in chunks:
                count = min(len(data) // width, stop - at)
                rows = np.frombuffer(data, REGION_ROW, count=count * slots)
                out[at - start : at - start + count] = rows.reshape(count, slots)
            bad = np.ones(end - begin, bool)
            bad[: len(flags)] = flags != 1
            out[begin - start : end - start][bad] = np.zeros((), REGION_ROW)
        return out

    def stored(self, key: str, channel: str) -> np.ndarray[Any, Any]:
        """Return (highest + 1,) of uint8, 1 where a frame is stored."""
        with translated():
            flags = self._client.getrange(
                keys.ok(key, channel), 0, self._max_frames - 1
            )
        if not flags and (archived := self._archived(key)) is not None:
            return archived.stored(key, channel)
        return np.frombuffer(flags, np.uint8)

    def rejected(self, key: str, channel: str) -> dict[int, str]:
        """Return image_id to reason, in order."""
        with translated():
            raw = self._client.hgetall(keys.rejected(key, channel))
        if not raw and (archived := self._archived(key)) is not None:
            return archived.rejected(key, channel)
        found = {
            int(name): reason.decode("utf-8", "replace")
            for name, reason in raw.items()
            if name.isdigit() and len(name) < 20
        }
        return dict(sorted(found.items()))

    def events(
        self, key: str, after: str = "-", limit: int = 1000
    ) -> list[StoredEvent]:
        """Return the oldest events after a position, repeats left out.

        Parameters
        ----------
        after
            `StoredEvent.entry` of the last one known; ``-``: from the beginning.
        """
        entries = self.entries(keys.events(key), after, limit)
        if not entries and (archived := self._archived(key)) is not None:
            entries = [
                e
                for e in archived.entries(key, "events")
                if after == "-" or position_of(e[0]) > position_of(after)
            ][:limit]
        found: dict[str, StoredEvent] = {}
        for entry, fields in entries:
            event = as_event(entry, fields)
            found.setdefault(event.id, event)
        return list(found.values())

    def ticks(
        self, key: str, after: str = "-", limit: int = 1000
    ) -> list[dict[str, str]]:
        """Return the oldest ticks after a position, each with its ``entry``."""
        entries = self.entries(keys.ticks(key), after, limit)
        found = {f.get("id", entry): {**f, "entry": entry} for entry, f in entries}
        return list(found.values())

    def mask(self, key: str, channel: str) -> PixelMask | None:
        """Return the detector's own pixel mask, None if it was not told."""
        with translated():
            data: bytes | None = self._client.get(keys.mask(key, channel))
        if data is None and (archived := self._archived(key)) is not None:
            return archived.mask(key, channel)
        return maskcodec.decode(data) if data else None

    def preview(self, key: str, channel: str) -> bytes | None:
        """Return the newest preview image."""
        with translated():
            image: bytes | None = self._client.get(keys.preview(key, channel))
        return image

    def entries(self, stream: str, after: str = "-", limit: int = 1000) -> Entries:
        """Return a stream's oldest entries after a position; ``-``: from the first."""
        low = "-" if after == "-" else f"({after}"
        with translated():
            raw = self._client.xrange(stream, min=low, max="+", count=limit)
        return [as_entry(*item) for item in raw]

    def hash(self, name: str) -> dict[str, str]:
        """Return a hash as text."""
        with translated():
            return text_of(self._client.hgetall(name))

    def wait(
        self, timeout_s: float, cursors: MutableMapping[str, str]
    ) -> dict[str, Entries]:
        """Wait until one of the streams has something new.

        Parameters
        ----------
        timeout_s
            Longest wait [s].
        cursors
            Stream (`keys.ticks`, `keys.events`, `keys.CONTROL`) to the position
            read last; ``$``: only what comes from now on. Moved on in place, so
            that nothing is seen twice or never.
        """
        if not cursors:
            time.sleep(timeout_s)
            return {}
        deadline = time.monotonic() + timeout_s
        with translated():
            for stream, position in cursors.items():
                if position == "$":
                    newest = self._client.xrevrange(stream, count=1)
                    cursors[stream] = newest[0][0].decode() if newest else "0-0"
            while True:
                left_ms = round(1000 * (deadline - time.monotonic()))
                block = max(1, min(BLOCK_MS, left_ms))
                raw = self._client.xread(dict(cursors), count=1000, block=block)
                if raw or left_ms <= BLOCK_MS:
                    break
        new: dict[str, Entries] = {}
        for stream_name, items in raw or []:
            stream = stream_name.decode()
            new[stream] = [as_entry(*item) for item in items]
            cursors[stream] = new[stream][-1][0]
        return new

    def await_flush(self, key: str, timeout_s: float) -> None:
        """Wait until a series gets more frames, `timeout_s` at most."""
        self.wait(timeout_s, {keys.ticks(key): "$"})

    def owner(self) -> dict[str, Any] | None:
        """Return who owns the detector's stream, as it says itself."""
        with translated():
            raw = self._client.get(keys.LEASE)
        try:
            value = json.loads(raw) if raw else None
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def _info(self, key: str, score: int | None) -> SeriesInfo:
        with translated():
            channels: tuple[str, ...] = ()
            for _ in range(4):
                answers = self._counted(key, channels)
                meta = answers[0]
                if isinstance(meta, Exception) and code_of(meta) != "WRONGTYPE":
                    raise meta
                if not meta or isinstance(meta, Exception):
                    raise UnknownSeriesError(key)
                named = channels_of(meta)
                if named == channels:
                    break
                channels = named
        text = text_of(meta)
        ledgers = {}
        for i, channel in enumerate(channels):
            counted = [
                a if isinstance(a, int) else 0 for a in answers[2 + 3 * i : 5 + 3 * i]
            ]
            frames, stored, rejected = counted
            ledgers[channel] = ledger_of(text, channel, stored, rejected, frames)
        seen = score if score is not None else answers[1]
        return series_info(
            key,
            text,
            channels,
            ledgers,
            last_write_ms=int(seen) if isinstance(seen, int | float) else None,
            archived=False,
        )

    def _counted(self, key: str, channels: Sequence[str]) -> list[Any]:
        """Read meta and all counters at one moment."""
        pipe = self._client.pipeline(transaction=True)
        pipe.hgetall(keys.meta(key))
        pipe.zscore(keys.SERIES, key)
        for channel in channels:
            pipe.strlen(keys.ok(key, channel))
            pipe.bitcount(keys.ok(key, channel))
            pipe.hlen(keys.rejected(key, channel))
        answers: list[Any] = pipe.execute(raise_on_error=False)
        return answers

    def _frames(self, key: str, channel: str) -> int:
        with translated():
            frames = int(self._client.strlen(keys.ok(key, channel)))
        return min(frames, self._max_frames)

    def _archived(self, key: str) -> Archive | None:
        """Return the archive when it, and not Redis, has the series."""
        with translated():
            if self._client.exists(keys.meta(key)):
                return None
        if self._archive and self._archive.find(key):
            return self._archive
        raise UnknownSeriesError(key)

    def _slots(self, key: str, channel: str) -> int:
        with translated():
            raw = self._client.hget(keys.meta(key), keys.slots_field(channel))
        return int(raw) if raw and raw.isdigit() and len(raw) < 5 else 0

    def _chunks(
        self, names: list[str], width: int, begin: int, end: int, ok: str
    ) -> tuple[list[tuple[int, memoryview]], np.ndarray[Any, Any]]:
        """Read rows and their `ok` bytes at one moment."""
        first = begin // keys.CHUNK_FRAMES * keys.CHUNK_FRAMES
        pipe = self._client.pipeline(transaction=True)
        pipe.getrange(ok, begin, end - 1)
        full: list[str] = []
        places: list[int] = []
        cut: list[int] = []
        for i, name in enumerate(names):
            low = first + i * keys.CHUNK_FRAMES
            if low >= begin and low + keys.CHUNK_FRAMES <= end:
                full.append(name)
                places.append(low)
            else:
                a, b = max(low, begin), min(low + keys.CHUNK_FRAMES, end)
                pipe.getrange(name, (a - low) * width, (b - low) * width - 1)
                cut.append(a)
        if full:
            pipe.mget(full)
        with translated():
            answers: list[Any] = pipe.execute()
        found = list(zip(cut, answers[1 : 1 + len(cut)], strict=True))
        if full:
            found += zip(places, answers[-1], strict=True)
        size = keys.CHUNK_FRAMES * width
        return (
            [(at, memoryview(data)[:size]) for at, data in found if data],
            np.frombuffer(answers[0], np.uint8),
        )


def _newest_first(info: SeriesInfo) -> tuple[int, str]:
    return -(info.started_ms or info.last_write_ms or 0), info.key


def _clip(start: int, stop: int | None, frames: int) -> tuple[int, int]:
    stop = frames if stop is None else min(stop, frames)
    return max(0, start), max(0, stop)


def _groups(start: int, stop: int) -> list[tuple[int, int]]:
    step = CHUNKS_PER_READ * keys.CHUNK_FRAMES
    edges = [start, *range((start // step + 1) * step, stop, step), stop]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]
