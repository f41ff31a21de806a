"""The owner of the detector's stream: builds the data path and runs it."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import structlog

from eigerwatch import catalogue
from eigerwatch.chooser import Chooser
from eigerwatch.commands import Commands
from eigerwatch.config import Settings
from eigerwatch.errors import LeaseError, StoreError, UnknownSeriesError
from eigerwatch.model import SourceKind
from eigerwatch.pipeline import Pipeline
from eigerwatch.receive import Receiver
from eigerwatch.reduce import kernel_name, kernel_problem
from eigerwatch.series.tracker import SeriesTracker
from eigerwatch.simplon.decoder import Decoder
from eigerwatch.store.client import check_server, connect
from eigerwatch.store.commanded import Commanded
from eigerwatch.store.control import Control
from eigerwatch.store.janitor import Janitor
from eigerwatch.store.lease import Lease
from eigerwatch.store.read import Reader
from eigerwatch.store.write import Writer
from eigerwatch.upkeep import Upkeep
from eigerwatch.workers import Reducer

log = structlog.get_logger()

_LEASE_WAIT_S = 6.0
_DRAIN_S = 4.0
_WRITE_OUT_S = 5.0
_REPLAY_END_S = 8.0
_SPOOL_WAIT_S = 60.0
_SPOOL_POLL_S = 0.1
_REMEMBERED_SERIES = 32
"""How many of the newest stored series are taken up again at start."""

_FOREIGN_CONTENT = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
)
"""What reading meta fields that are not ours may raise."""


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
        self._upkeep: Upkeep | None = None
        self._closed = False
        with ExitStack() as stack:
            self._lease = Lease(self._client)
            self._lease.acquire(_LEASE_WAIT_S)
            stack.callback(self._release)
            stack.callback(self._stop_upkeep)
            self._build(settings, store_url, stack)
            self._closing = stack.pop_all()

    def _build(self, settings: Settings, store_url: str, stack: ExitStack) -> None:
        """Make every part; `stack` stops them in the opposite order."""
        endpoints = {SourceKind(settings.stream.source): settings.stream.endpoint}
        if settings.replay.enabled:
            endpoints[SourceKind.REPLAY] = settings.replay.endpoint
        commanded = Commanded(self._client)
        chooser = Chooser(settings)
        chooser.take_up(commanded.settings())
        trackers = {
            kind: SeriesTracker(
                kind, settings.series, chooser.selector, settings.store.max_frames
            )
            for kind in endpoints
        }
        chooser.users = [tracker.use for tracker in trackers.values()]
        self._writer = Writer(store_url, settings.store)
        stack.callback(self._write_out)
        self._replay_spool()
        reader = Reader(self._client, max_frames=settings.store.max_frames)
        self._take_up(trackers, chooser, reader)
        self._reducer = Reducer(settings.reduce, settings.executor)
        stack.callback(self._reducer.close)
        self._receiver = Receiver(
            endpoints,
            settings.stream.receive_hwm,
            settings.stream.max_message_mb * 10**6,
            settings.stream.tee,
        )
        stack.callback(self._receiver.close)
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
            settings.reduce.preview_s,
        )
        self._upkeep = Upkeep(
            self._lease,
            Janitor(self._client, settings.archive_dir, settings.store.memory_limit),
            self.status,
            self._pipeline.open_keys,
            self._lease_lost,
        )
        self._commands = Commands(
            Control(self._client), commanded, chooser, settings.replay
        )
        stack.callback(self._commands.stop)
        log.info(
            "consumer ready",
            endpoints={k.value: v for k, v in endpoints.items()},
            kernel=kernel_name(),
            threads=self._reducer.threads,
        )

    def _replay_spool(self) -> None:
        """Let the writer store what an earlier process could not.

        Before anything is taken up from the store: what waits in the spool belongs
        to it.
        """
        self._writer.start()
        deadline = time.monotonic() + _SPOOL_WAIT_S
        while self._writer.status().spooled_bytes and time.monotonic() < deadline:
            self._lease.beat({"replaying_spool": asdict(self._writer.status())})
            time.sleep(_SPOOL_POLL_S)

    def _take_up(
        self,
        trackers: dict[SourceKind, SeriesTracker],
        chooser: Chooser,
        reader: Reader,
    ) -> None:
        """Restore what an earlier process left in the store, oldest first."""
        for info in reversed(reader.series(limit=_REMEMBERED_SERIES)):
            try:
                tracker = trackers.get(SourceKind(info.source))
                if tracker is not None and not info.archived:
                    remembered = catalogue.remembered(info, reader)
                    selector = chooser.selector_of(remembered.changes)
                    tracker.restore(remembered, time.monotonic(), selector)
            except (*_FOREIGN_CONTENT, UnknownSeriesError) as exc:
                log.warning(
                    "stored series not taken up", series=info.key, problem=repr(exc)
                )

    def _lease_lost(self, problem: LeaseError) -> None:
        self._lost = problem
        self._stop.set()

    def status(self) -> dict[str, Any]:
        """Return what the page shows about the consumer."""
        return {**self._pipeline.status(), "writer": asdict(self._writer.status())}

    def _release(self) -> None:
        if self._lost is not None:
            return
        try:
            self._lease.release()
        except StoreError as exc:
            log.warning("lease left to expire", problem=str(exc))

    def _stop_upkeep(self) -> None:
        if self._upkeep is not None:
            self._upkeep.stop()

    def stop(self) -> None:
        """End `run` soon; safe from signal handlers and threads."""
        self._stop.set()

    def _write_out(self) -> None:
        if not self._writer.stop(_WRITE_OUT_S):
            log.warning(
                "records not in the store yet wait in the spool for the next start",
                **asdict(self._writer.status()),
            )

    def run(self) -> None:
        """Move frames until `stop` is called, then store what has come.

        Raises
        ------
        LeaseError
            Another process has taken the stream over.
        """
        assert self._upkeep is not None
        self._upkeep.start()
        self._commands.start()
        try:
            while not self._stop.is_set():
                self._pipeline.step()
            # A replay ends with us: take its last frames and its end.
            self._commands.stop_soon()
            deadline = time.monotonic() + _REPLAY_END_S
            while self._commands.running and time.monotonic() < deadline:
                self._pipeline.step()
            self._pipeline.step()
        finally:
            self.close()
        if self._lost is not None:
            raise self._lost

    def close(self) -> None:
        """Stop in order: reading, reducing, writing, then the lease.

        Each step is taken whatever became of the one before.
        """
        if self._closed:
            return
        self._closed = True
        with self._closing:
            self._pipeline.drain(_DRAIN_S)
        log.info("consumer stopped", images_reduced=self._pipeline.images_reduced)
