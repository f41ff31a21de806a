"""Keeps Redis within bounds: old series go to the archive, dead ones off the list."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from eigerwatch.errors import StoreError
from eigerwatch.model import SourceState
from eigerwatch.store import keys
from eigerwatch.store.archive import write_archive
from eigerwatch.store.client import Client, translated
from eigerwatch.store.info import SeriesInfo
from eigerwatch.store.lifetime import remove
from eigerwatch.store.read import Reader

log = structlog.get_logger()

CLOSED = (
    SourceState.FINISHED.value,
    SourceState.STOPPED_EARLY.value,
    SourceState.ERROR.value,
)
ABANDONED_S = 600.0
"""A series that its consumer did not close counts as closed after this silence."""
ROOM = 0.9
"""Once the limit is passed, room is made down to this part of it."""
RAM_PART = 0.25
LISTED = 100_000


@dataclass(slots=True)
class JanitorReport:
    """What one run did."""

    used_bytes: int = 0
    """Memory of the server before the run."""
    limit_bytes: int = 0
    freed_bytes: int = 0
    archived: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    """Series whose keys had expired."""
    trouble: str | None = None
    """Why the limit is still passed, with the cure."""


class Janitor:
    """Archives and removes series; the consumer calls `run_once` now and then.

    Parameters
    ----------
    client
        Connection pool of `client.connect`.
    archive_dir
        Where archived series go.
    memory_limit
        Bytes used by the server beyond which series are archived; None: 25 % of RAM.
    """

    def __init__(
        self, client: Client, archive_dir: Path, memory_limit: int | None = None
    ) -> None:
        self._client = client
        self._folder = archive_dir
        self._limit = memory_limit or round(RAM_PART * _ram_bytes())
        self._reader = Reader(client)

    def run_once(self, live: Collection[str] = ()) -> JanitorReport:
        """Tidy the list of series and make room if the limit is passed.

        Parameters
        ----------
        live
            Keys of the series that are open in this process.

        Raises
        ------
        StoreError
            Redis is away or refuses.
        """
        report = JanitorReport(limit_bytes=self._limit)
        report.forgotten = self._tidy(live)
        with translated():
            report.used_bytes = int(self._client.info("memory")["used_memory"])
        target = round(ROOM * self._limit)
        excess = report.used_bytes - self._limit
        if excess <= 0:
            return report
        for info in self._candidates(live):
            if report.used_bytes - report.freed_bytes <= target:
                return report
            try:
                report.freed_bytes += self._move(info)
            except StoreError as exc:
                report.trouble = str(exc)
                continue
            report.archived.append(info.key)
            log.info("series archived", series=info.key)
        if report.used_bytes - report.freed_bytes > self._limit:
            report.trouble = report.trouble or (
                f"Redis uses {report.used_bytes >> 20} MB, more than "
                f"store.memory_limit, and nothing more can be archived: unpin series "
                "or raise store.memory_limit"
            )
        return report

    def archive(self, key: str) -> Path:
        """Archive one series now and remove it from Redis.

        Raises
        ------
        StoreError
            It cannot be read or written; it stays in Redis then.
        """
        path = write_archive(self._reader, key, self._folder)
        remove(self._client, key)
        return path

    def _move(self, info: SeriesInfo) -> int:
        size = self._size(info)
        self.archive(info.key)
        return size

    def _candidates(self, live: Collection[str]) -> list[SeriesInfo]:
        """Return what may go, the series written to least recently first."""
        now_ms = time.time() * 1000
        found = []
        for info in self._reader.series(LISTED):
            if info.archived or info.pinned or info.key in live:
                continue
            silent_s = (now_ms - (info.last_write_ms or 0)) / 1000
            if info.state in CLOSED or silent_s > ABANDONED_S:
                found.append(info)
        return sorted(found, key=lambda info: info.last_write_ms or 0)

    def _tidy(self, live: Collection[str]) -> list[str]:
        with translated():
            members = self._client.zrange(keys.SERIES, 0, -1)
            names = [member.decode("utf-8", "replace") for member in members]
            pipe = self._client.pipeline(transaction=False)
            for name in names:
                pipe.exists(keys.meta(name))
            present = pipe.execute()
            gone = [
                name
                for name, exists in zip(names, present, strict=True)
                if not exists and name not in live
            ]
            if gone:
                self._client.zrem(keys.SERIES, *gone)
        return gone

    def _size(self, info: SeriesInfo) -> int:
        pattern = keys.pattern(info.key)
        with translated():
            pipe = self._client.pipeline(transaction=False)
            for name in self._client.scan_iter(match=pattern, count=1000):
                pipe.memory_usage(name, samples=0)
            return sum(int(size or 0) for size in pipe.execute())


def _ram_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
