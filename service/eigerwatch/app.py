"""The service: store, consumer and web process, started and stopped in order."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Self

import structlog

from eigerwatch.children import Child
from eigerwatch.config import ENV_PREFIX, Settings
from eigerwatch.consumer import Consumer
from eigerwatch.embedded import EmbeddedServer
from eigerwatch.errors import EigerwatchError
from eigerwatch.store.client import check_server, connect
from eigerwatch.web.listener import bind, url_of

log = structlog.get_logger()

Part = Literal["consumer", "web"]

_RESTART_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_WATCH_S = 0.5
_MALLOC = {"MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2")}
"""glibc would give each of many threads memory of its own, and never take it back."""
EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CONFIG = 2


@contextmanager
def running_store(settings: Settings) -> Iterator[str]:
    """Yield the address of a Redis server, starting an embedded one if need be."""
    if settings.store.url is not None:
        yield settings.store.url
        return
    server = EmbeddedServer.start(settings.store)
    try:
        yield server.url
    finally:
        server.stop()


class WebProcess:
    """The web server as a process of its own, started again when it dies.

    The port stays bound by us, so that browsers that connect in between wait
    instead of being refused.
    """

    def __init__(
        self, listener: socket.socket, store_url: str, config: Path | None
    ) -> None:
        arguments = ["run", "--only", "web", "--listen-fd", str(listener.fileno())]
        if config is not None:
            arguments += ["--config", str(config)]
        self._child = Child(
            "eigerwatch",
            arguments,
            {f"{ENV_PREFIX}STORE__URL": store_url, **_MALLOC},
            (listener.fileno(),),
        )
        self._next_start = 0.0
        self._pause_s = _RESTART_PAUSE_S

    def start(self) -> None:
        """Start the process."""
        self._child.start()
        self._next_start = time.monotonic() + self._pause_s

    def keep_running(self) -> None:
        """Start the process again if it has died; call now and then."""
        code = self._child.poll()
        if code is None or time.monotonic() < self._next_start:
            return
        log.error("web process died, starting it again", exit_code=code)
        lived_long = time.monotonic() > self._next_start + _LONGEST_PAUSE_S
        self._pause_s = (
            _RESTART_PAUSE_S if lived_long else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        )
        self.start()

    def stop(self) -> None:
        """Stop the process."""
        self._child.stop()


class Service:
    """The consumer in a thread and the web server in a process.

    Parameters
    ----------
    settings
        All of them.
    store_url
        The Redis server in use.
    listener
        Bound socket of the page, or None for no web process.
    config
        Settings file to hand to the web process.
    """

    def __init__(
        self,
        settings: Settings,
        store_url: str,
        listener: socket.socket | None,
        config: Path | None,
    ) -> None:
        self._consumer = Consumer(settings, store_url)
        self._web = WebProcess(listener, store_url, config) if listener else None
        self._ended = threading.Event()
        self._problem: EigerwatchError | None = None
        self._crashed = False
        self._thread = threading.Thread(target=self._consume, name="pipeline")

    def _consume(self) -> None:
        try:
            self._consumer.run()
        except EigerwatchError as exc:
            self._problem = exc
        except Exception:
            log.exception("consumer crashed, stopping the service")
            self._crashed = True
        finally:
            self._ended.set()

    def start(self) -> None:
        """Start both; from the main thread, which the web process is tied to."""
        self._thread.start()
        if self._web is not None:
            self._web.start()

    def poll(self, timeout_s: float) -> bool:
        """Wait a little; start a dead web process again.

        Returns
        -------
        bool
            False once the consumer has ended.
        """
        if self._web is not None:
            self._web.keep_running()
        return not self._ended.wait(timeout_s)

    def stop(self) -> None:
        """Stop both, the consumer first; whether or not they were started."""
        self._consumer.stop()
        if self._thread.ident is None:
            self._consumer.close()
        else:
            self._thread.join()
        if self._web is not None:
            self._web.stop()

    @property
    def exit_code(self) -> int:
        """Exit code of a stopped service.

        Raises
        ------
        EigerwatchError
            What ended the consumer, where it did not end as told.
        """
        if self._problem is not None:
            raise self._problem
        return EXIT_FAILED if self._crashed else EXIT_OK


class StopRequest:
    """Set by SIGINT and SIGTERM while in force; a second signal interrupts."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()


def run(settings: Settings, config: Path | None, only: Part | None) -> int:
    """Run the service, or one part of it, until a signal comes.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    EigerwatchError
        It cannot start, or another process has taken its stream over.
    """
    if only == "web":
        return run_web(settings, bind(settings.web))
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        listener = None
        if only is None:
            listener = stack.enter_context(closing(bind(settings.web)))
        store_url = stack.enter_context(running_store(settings))
        service = Service(settings, store_url, listener, config)
        stack.callback(service.stop)
        if listener is not None:
            log.info("page", address=url_of(listener))
        service.start()
        while service.poll(_WATCH_S) and not stop:
            pass
        service.stop()
        return service.exit_code


def run_web(settings: Settings, listener: socket.socket) -> int:
    """Serve the page on a bound socket until a signal comes."""
    # FastAPI is a second's import that the consumer's process has no use for.
    from eigerwatch.web.serve import serve

    with closing(listener), running_store(settings) as store_url:
        check_server(connect(store_url))
        serve(settings, store_url, listener)
    return EXIT_OK


def run_web_on(settings: Settings, listen_fd: int) -> int:
    """Serve the page on a socket inherited from the process that started this one."""
    return run_web(settings, socket.socket(fileno=listen_fd))
