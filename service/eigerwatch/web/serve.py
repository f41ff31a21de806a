"""Runs the web application in uvicorn, on a socket that is bound first."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import structlog
import uvicorn
from fastapi import FastAPI

from eigerwatch.config import Settings
from eigerwatch.store.alarms import Alarms
from eigerwatch.store.client import connect
from eigerwatch.store.desk import Desk
from eigerwatch.store.labels import Labels
from eigerwatch.store.listing import Listing
from eigerwatch.store.notes import Notes
from eigerwatch.store.read import Reader
from eigerwatch.store.summaries import Summaries
from eigerwatch.web.application import create_app
from eigerwatch.web.listener import bind, url_of
from eigerwatch.web.run_store import RunStore

log = structlog.get_logger(__name__)

MAX_CLIENT_MESSAGE = 16 * 1024
"""Longest message that a browser may send over the WebSocket [bytes]."""
SHUTDOWN_S = 3
"""Time for requests under way when the service stops [s]."""


class WebServer:
    """One uvicorn server on a bound socket."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        self.url = url_of(listener)
        self._listener = listener
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                ws="websockets-sansio",
                ws_per_message_deflate=False,  # costs 25 times the CPU time
                ws_max_size=MAX_CLIENT_MESSAGE,
                ws_ping_interval=20,
                ws_ping_timeout=20,
                timeout_graceful_shutdown=SHUTDOWN_S,
                log_config=None,
                access_log=False,
                server_header=False,
            )
        )

    @property
    def started(self) -> bool:
        """Whether requests are answered."""
        return self._server.started

    def run(self) -> None:
        """Serve until `stop` is called or, in the main thread, a signal comes."""
        with closing(self._listener):
            self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """Ask `run` to return; from any thread."""
        self._server.should_exit = True


def serve(
    settings: Settings, store_url: str, listener: socket.socket | None = None
) -> None:
    """Serve page and API from the store at `store_url` until a signal comes.

    Parameters
    ----------
    settings
        Where to listen and who may come; where archived series are.
    store_url
        Redis or Valkey server.
    listener
        Socket of `bind`, for callers that must know the port; closed at the end.

    Raises
    ------
    ConfigError
        The port is in use or the address unusable; the store's URL is no URL.
    """
    listener = listener or bind(settings.web)
    with closing(listener):
        client = connect(store_url)
        reader = Reader(client, settings.archive_dir, settings.store.max_frames)
        app = create_app(
            reader,
            settings.web,
            notes=Notes(client, settings.archive_dir),
            analysis=settings.analysis,
            targets=settings.targets,
            commands=Desk(client),
            replay=settings.replay,
            alarms=Alarms(client),
            run_store=RunStore(
                Listing(client, settings.archive_dir),
                Labels(client, settings.store.ttl_days),
                Summaries(client, settings.archive_dir),
            ),
        )
        server = WebServer(app, listener)
        log.info("page ready", url=server.url)
        with _ended_by_signals(server):
            server.run()


@contextmanager
def _ended_by_signals(server: WebServer) -> Iterator[None]:
    """Let SIGINT and SIGTERM stop the server and nothing else.

    uvicorn raises a signal again once it has shut down; with the default handler the
    process would die of it before its callers have cleaned up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: server.stop())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
