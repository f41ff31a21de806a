"""Series that no longer fit into Redis: one HDF5 file each, the same records."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

import h5py
import numpy as np

from eigerwatch.errors import StoreError
from eigerwatch.model import FRAME_RECORD, REGION_ROW, PixelMask
from eigerwatch.store import keys, maskcodec
from eigerwatch.store.info import SeriesInfo, ledger_of, series_info

FORMAT = 1
SUFFIX = ".h5"
ROWS_PER_CHUNK = keys.CHUNK_FRAMES
KEPT = 300
"""Series whose headers are kept in memory; each may take 20 kB."""


class Source(Protocol):
    """What has the series to be archived: `eigerwatch.store.read.Reader`, or a file."""

    def info(self, key: str) -> SeriesInfo:
        """Return what is known about it."""
        ...

    def entries(
        self, stream: str, after: str = "-", limit: int = 1000
    ) -> list[tuple[str, dict[str, str]]]:
        """Return a stream's oldest entries."""
        ...

    def hash(self, name: str) -> dict[str, str]:
        """Return a hash as text."""
        ...

    def stored(self, key: str, channel: str) -> np.ndarray[Any, Any]:
        """Return (highest + 1,) of uint8, 1 where a frame is stored."""
        ...

    def rejected(self, key: str, channel: str) -> dict[int, str]:
        """Return image_id to reason, in order."""
        ...

    def mask(self, key: str, channel: str) -> PixelMask | None:
        """Return the detector's own pixel mask, None if it was not told."""
        ...

    def rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Return the records of image_ids start to stop."""
        ...

    def region_rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Return (n, regions) of `REGION_ROW`."""
        ...


class Archive:
    """Reads archived series; may be shared by threads.

    Each file holds ``/json`` (key, meta, channels, events, notes, exclusions, tags,
    summary, as UTF-8 JSON in bytes) and per channel ``/channels/<n>`` the datasets
    ``records``, ``ok``, ``rejected`` (JSON) and, where there are any, ``regions`` and
    ``mask``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[tuple[int, int], SeriesInfo]] = (
            OrderedDict()
        )
        self.damaged: dict[str, str] = {}
        """File name to what is wrong with it."""

    def series(self, limit: int) -> list[SeriesInfo]:
        """Return the newest archived series first; damaged files are left out."""
        try:
            found = [
                (entry.stat().st_mtime, entry.name)
                for entry in os.scandir(self._folder)
                if entry.name.endswith(SUFFIX)
            ]
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise StoreError(
                f"{self._folder}: cannot be read ({exc.strerror}); make it readable "
                "or change archive.dir"
            ) from exc
        listed = []
        # A file's time is the series' last write, so no file is opened to sort.
        for _, name in sorted(found, reverse=True)[:limit]:
            try:
                info = self.find(unquote(name.removesuffix(SUFFIX)))
            except StoreError as exc:
                self.damaged[name] = str(exc)
                continue
            if info is not None:
                listed.append(info)
        return listed

    def find(self, key: str) -> SeriesInfo | None:
        """Return what is known about one archived series, None if it is not there."""
        version = self.version(key)
        if version is None:
            return None
        with self._lock:
            cached = self._known.get(key)
            if cached is not None and cached[0] == version:
                self._known.move_to_end(key)
                return cached[1]
        info = self._read_info(key, self._path(key))
        with self._lock:
            self._known[key] = (version, info)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return info

    def version(self, key: str) -> tuple[int, int] | None:
        """Return what changes when a file does, as `versions`; None: there is none."""
        try:
            stat = self._path(key).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size

    def rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Return the records of image_ids start to stop, as `Reader.rows`."""
        data = self._slice(key, channel, "records", start, stop)
        return np.zeros(0, FRAME_RECORD) if data is None else data.astype(FRAME_RECORD)

    def region_rows(
        self, key: str, channel: str, start: int = 0, stop: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Return (n, regions) of `REGION_ROW`, as `Reader.region_rows`."""
        data = self._slice(key, channel, "regions", start, stop)
        if data is None:
            ok = self._slice(key, channel, "ok", start, stop)
            return np.zeros((0 if ok is None else ok.size, 0), REGION_ROW)
        return data.astype(REGION_ROW)

    def stored(self, key: str, channel: str) -> np.ndarray[Any, Any]:
        """Return (highest + 1,) of uint8, 1 where a frame is stored."""
        data = self._slice(key, channel, "ok", 0, None)
        return np.zeros(0, np.uint8) if data is None else data

    def mask(self, key: str, channel: str) -> PixelMask | None:
        """Return the detector's own pixel mask, as `Reader.mask`."""
        data = self._slice(key, channel, "mask", 0, None)
        return None if data is None else maskcodec.decode(data.tobytes())

    def rejected(self, key: str, channel: str) -> dict[int, str]:
        """Return image_id to reason."""
        with self._open(key) as file:
            group = _channel(file, channel)
            said = {} if group is None else _json(group["rejected"])
        return {int(image_id): reason for image_id, reason in said.items()}

    def entries(self, key: str, stream: str) -> list[tuple[str, dict[str, str]]]:
        """Return the entries of ``events`` or ``exclusions``."""
        with self._open(key) as file:
            return [
                (position, fields) for position, fields in _json(file["json"])[stream]
            ]

    def notes(self, key: str) -> dict[str, str]:
        """Return the notes as Redis had them."""
        with self._open(key) as file:
            return dict(_json(file["json"])["notes"])

    def hash(self, key: str, name: str) -> dict[str, str]:
        """Return ``notes``, ``tags`` or ``summary`` as Redis had them.

        Empty in a file that was written before there were any.
        """
        with self._open(key) as file:
            return dict(_json(file["json"]).get(name, {}))

    def versions(self) -> dict[str, tuple[int, int]]:
        """Return all keys with what changes when a file does: time [ns], size."""
        try:
            with os.scandir(self._folder) as entries:
                found = [
                    (unquote(entry.name.removesuffix(SUFFIX)), entry.stat())
                    for entry in entries
                    if entry.name.endswith(SUFFIX)
                ]
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise StoreError(
                f"{self._folder}: cannot be read ({exc.strerror}); make it readable "
                "or change archive.dir"
            ) from exc
        return {key: (stat.st_mtime_ns, stat.st_size) for key, stat in found}

    def _path(self, key: str) -> Path:
        return self._folder / file_name(key)

    def _slice(
        self, key: str, channel: str, name: str, start: int, stop: int | None
    ) -> np.ndarray[Any, Any] | None:
        with self._open(key) as file:
            group = _channel(file, channel)
            if group is None or name not in group:
                return None
            data: np.ndarray[Any, Any] = group[name][max(0, start) : stop]
        return data

    @contextlib.contextmanager
    def _open(self, key: str) -> Any:
        path = self._path(key)
        try:
            with h5py.File(path, "r", locking=False) as file:
                yield file
        except (OSError, KeyError, ValueError, TypeError) as exc:
            raise StoreError(
                f"{path}: damaged archive ({exc}); restore it from a backup"
            ) from exc

    def _read_info(self, key: str, path: Path) -> SeriesInfo:
        with self._open(key) as file:
            said = _json(file["json"])
            channels = tuple(said["channels"])
            meta = {str(n): str(v) for n, v in said["meta"].items()}
            ledgers = {}
            for channel in channels:
                group = _channel(file, channel)
                if group is None:
                    raise KeyError(channel)
                ledgers[channel] = ledger_of(
                    meta,
                    channel,
                    int(group.attrs["stored"]),
                    int(group.attrs["n_rejected"]),
                    int(group["ok"].shape[0]),
                )
        return series_info(
            key,
            meta,
            channels,
            ledgers,
            last_write_ms=round(path.stat().st_mtime * 1000),
            archived=True,
        )


def file_name(key: str) -> str:
    """Return the archive's file name of a series."""
    return quote(key, safe="") + SUFFIX


def write_archive(source: Source, key: str, folder: Path) -> Path:
    """Copy one series into a file of `folder`.

    The file appears complete or not at all. Records are read chunk by chunk.

    Raises
    ------
    UnknownSeriesError
        There is no such series.
    StoreError
        Redis is away, or the folder cannot be written.
    """
    info = source.info(key)
    path = folder / file_name(key)
    part = path.with_suffix(f".{os.getpid()}.part")
    said = {
        "format": FORMAT,
        "key": key,
        "meta": info.meta,
        "channels": list(info.channels),
        "events": source.entries(keys.events(key), limit=100_000),
        "exclusions": source.entries(keys.exclusions(key), limit=100_000),
        "notes": source.hash(keys.notes(key)),
        "tags": source.hash(keys.tags(key)),
        "summary": source.hash(keys.summary(key)),
    }
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        with h5py.File(part, "w") as file:
            file.attrs["eigerwatch_archive"] = FORMAT
            _write_json(file, "json", said)
            for n, channel in enumerate(info.channels):
                group = file.create_group(f"channels/{n}")
                group.attrs["channel"] = channel
                _write_channel(source, key, channel, group)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        if info.last_write_ms is not None:
            seconds = info.last_write_ms / 1000
            os.utime(part, (seconds, seconds))
        part.replace(path)
        _sync_folder(folder)
    except OSError as exc:
        raise StoreError(
            f"{path}: cannot be archived ({exc}); free disk space or change archive.dir"
        ) from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return path


def _write_channel(source: Source, key: str, channel: str, group: Any) -> None:
    ok = source.stored(key, channel)
    rejected = source.rejected(key, channel)
    group.attrs["stored"] = int((ok == 1).sum())
    group.attrs["n_rejected"] = len(rejected)
    group.create_dataset("ok", data=ok, **_packed(ok.shape))
    _write_json(group, "rejected", {str(i): reason for i, reason in rejected.items()})
    mask = source.mask(key, channel)
    if mask is not None:
        data = np.frombuffer(maskcodec.encode(mask), np.uint8)
        group.create_dataset("mask", data=data)
    records = group.create_dataset(
        "records", shape=ok.shape, dtype=FRAME_RECORD, **_packed(ok.shape)
    )
    slots = source.region_rows(key, channel, 0, 1).shape[1] if ok.size else 0
    shape = (ok.size, slots)
    regions = None
    if slots:
        regions = group.create_dataset(
            "regions", shape=shape, dtype=REGION_ROW, **_packed(shape)
        )
    for start in range(0, ok.size, ROWS_PER_CHUNK):
        stop = min(start + ROWS_PER_CHUNK, ok.size)
        records[start:stop] = source.rows(key, channel, start, stop)
        if regions is not None:
            regions[start:stop] = source.region_rows(key, channel, start, stop)


def _packed(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return how a dataset is stored: filters that every HDF5 library has."""
    if shape[0] == 0:
        return {}
    chunks = (min(shape[0], ROWS_PER_CHUNK), *shape[1:])
    return {"chunks": chunks, "compression": "gzip", "compression_opts": 1}


def _channel(file: Any, channel: str) -> Any:
    for group in file["channels"].values() if "channels" in file else ():
        if group.attrs["channel"] == channel:
            return group
    return None


def _write_json(group: Any, name: str, value: Any) -> None:
    # Bytes, since HDF5 strings cannot hold every text that headers bring.
    data = json.dumps(value).encode()
    group.create_dataset(name, data=np.frombuffer(data, np.uint8))


def _json(dataset: Any) -> Any:
    return json.loads(bytes(dataset[()]))


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
