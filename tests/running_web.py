"""The web application in a thread, for tests with a real browser or client."""

from __future__ import annotations

import threading

from helpers import wait_until
from memory_alarms import MemoryAlarms
from memory_desk import MemoryDesk
from memory_runs import memory_runs
from memory_store import MemoryNotes, MemoryStore

from eigerwatch.sections import ReplaySettings, TargetSettings, WebSettings
from eigerwatch.web.application import create_app
from eigerwatch.web.listener import bind
from eigerwatch.web.serve import WebServer


class RunningWeb:
    """The web application on a port of its own, in a thread."""

    def __init__(
        self,
        store: MemoryStore,
        port: int = 0,
        notes: MemoryNotes | None = None,
        targets: TargetSettings | None = None,
        commands: MemoryDesk | None = None,
        replay: ReplaySettings | None = None,
        alarms: MemoryAlarms | None = None,
    ) -> None:
        settings = WebSettings(port=port)
        app = create_app(
            store,
            settings,
            notes=notes,
            targets=targets,
            commands=commands,
            replay=replay,
            alarms=alarms,
            run_store=memory_runs(store, notes),
        )
        self._server = WebServer(app, bind(settings))
        self.url = self._server.url
        self.port = int(self.url.rstrip("/").rpartition(":")[2])
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait_until(lambda: self._server.started, what="server")

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
