"""The owner of the detector's stream: builds the data path and runs it."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from typing import Any

import structlog

from eigerwatch import catalogue
from eigerwatch.config import Settings
from eigerwatch.errors import LeaseError, StoreError
from eigerwatch.model import SourceKind
from eigerwatch.pipeline import Pipeline
from eigerwatch.receive import Receiver
from eigerwatch.reduce import Reducer, kernel_name, kernel_problem
from eigerwatch.series.tracker import SeriesTracker
from eigerwatch.simplon.decoder import Decoder
from eigerwatch.store.client import check_server, connect
from eigerwatch.store.janitor import Janitor
from eigerwatch.store.lease import Lease
from eigerwatch.store.read import Reader
from eigerwatch.store.write import Writer
from eigerwatch.upkeep import Upkeep

log = structlog.get_logger()

_LEASE_WAIT_S = 6.0
_DRAIN_S = 4.0
_WRITE_OUT_S = 5.0
_REMEMBERED_SERIES = 16
"""How many of the newest stored series are taken up again at start."""


class Consumer:
    """Receives, reduces and stores until told to stop.

    Parameters
    ----------
    settings
        All of them.
    store_url
        The Redis server in use.

    Raises
    ------
    StoreError
        Redis is away or unfit.
    LeaseError
        Another process owns the stream.
    ConfigError
        An address cannot be used.
    """

    def __init__(self, settings: Settings, store_url: str) -> None:
        self._client = connect(store_url)
        for warning in check_server(self._client):
            log.warning("store", problem=warning)
        if kernel_problem():
            log.warning("no compiled kernel, much slower", problem=kernel_problem())
        self._lost: LeaseError | None = None
        self._stop = threading.Event()
        self._lease = Lease(self._client)
        self._lease.acquire(_LEASE_WAIT_S)
        try:
            self._build(settings, store_url)
        except BaseException:
            self._release()
            raise

    def _build(self, settings: Settings, store_url: str) -> None:
        endpoints = {SourceKind(settings.stream.source): settings.stream.endpoint}
        if settings.replay.enabled:
            endpoints[SourceKind.REPLAY] = settings.replay.endpoint
        trackers = {
            kind: SeriesTracker(
                kind, settings.series, settings.filter, settings.store.max_frames
            )
            for kind in endpoints
        }
        self._take_up(trackers, Reader(self._client))
        self._receiver = Receiver(
            endpoints,
            settings.stream.receive_hwm,
            settings.stream.max_message_mb * 10**6,
            settings.stream.tee,
        )
        self._reducer = Reducer(settings.reduce)
        self._writer = Writer(store_url, settings.store)
        self._pipeline = Pipeline(
            self._receiver,
            {
                kind: Decoder(
                    settings.stream.max_pixels, settings.stream.max_message_mb
                )
                for kind in endpoints
            },
            trackers,
            self._reducer,
            self._writer,
            settings.reduce.batch_frames,
            settings.reduce.max_pending_mb * 10**6,
        )
        self._upkeep = Upkeep(
            self._lease,
            Janitor(self._client, settings.archive_dir, settings.store.memory_limit),
            self.status,
            self._pipeline.open_keys,
            self._lease_lost,
        )
        log.info(
            "consumer ready",
            endpoints={k.value: v for k, v in endpoints.items()},
            kernel=kernel_name(),
            threads=self._reducer.threads,
        )

    def _take_up(
        self, trackers: dict[SourceKind, SeriesTracker], reader: Reader
    ) -> None:
        """Restore what an earlier process left in the store, oldest first."""
        for info in reversed(reader.series(limit=_REMEMBERED_SERIES)):
            try:
                tracker = trackers.get(SourceKind(info.source))
                if tracker is None or info.archived:
                    continue
                states = {
                    channel: (
                        reader.stored(info.key, channel).tobytes(),
                        list(reader.rejected(info.key, channel)),
                        catalogue.settled_below(info.meta, channel),
                    )
                    for channel in info.ledgers
                }
                remembered = catalogue.remembered(info.key, info.meta, states)
                tracker.restore(remembered, time.monotonic())
            except (ValueError, KeyError, TypeError) as exc:
                log.warning(
                    "stored series not taken up", series=info.key, problem=str(exc)
                )

    def _lease_lost(self, problem: LeaseError) -> None:
        self._lost = problem
        self._stop.set()

    def status(self) -> dict[str, Any]:
        """Return what the page shows about the consumer."""
        return {**self._pipeline.status(), "writer": asdict(self._writer.status())}

    def _release(self) -> None:
        try:
            self._lease.release()
        except StoreError as exc:
            log.warning("lease left to expire", problem=str(exc))

    def stop(self) -> None:
        """End `run` soon; safe from signal handlers and threads."""
        self._stop.set()

    def run(self) -> None:
        """Move frames until `stop` is called, then store what has come.

        Raises
        ------
        LeaseError
            Another process has taken the stream over.
        """
        self._writer.start()
        self._upkeep.start()
        try:
            while not self._stop.is_set():
                self._pipeline.step()
        finally:
            self.close()
        if self._lost is not None:
            raise self._lost

    def close(self) -> None:
        """Stop in order: reading, reducing, writing, then the lease."""
        self._pipeline.drain(_DRAIN_S)
        self._receiver.close()
        self._reducer.close()
        if not self._writer.stop(_WRITE_OUT_S):
            log.warning(
                "records not in the store yet wait in the spool for the next start",
                **asdict(self._writer.status()),
            )
        self._upkeep.stop()
        if self._lost is None:
            self._release()
        log.info("consumer stopped", frames=self._pipeline.frames)
