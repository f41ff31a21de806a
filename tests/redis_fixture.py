"""Real servers for tests; no fixtures here, plain context managers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helpers import wait_until

from eigerwatch.embedded import _found, _ping, identify
from eigerwatch.sections import StoreSettings
from eigerwatch.store.client import Client, connect


def binary_of(family: str) -> str:
    """Return the server program of a family, or skip the test and say why."""
    for path in [*_found(), shutil.which("redis-server") or ""]:
        server = identify(path) if path else None
        if server is not None and server.family == family:
            return path
    pytest.skip(f"no {family}-server on this machine")


@dataclass
class RunningServer:
    """A server process that tests may freeze, kill and start again."""

    folder: Path
    binary: str
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    clients: list[Client] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "s.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                self.binary,
                *("--port", "0", "--unixsocket", str(self.socket)),
                *("--dir", str(self.folder), "--appendonly", "yes", "--save", ""),
                *("--logfile", str(self.folder / "server.log")),
                *self.options,
            ],
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
        wait_until(lambda: _ping(str(self.socket)) == "ready", what="server")

    def kill(self) -> None:
        """Kill the server as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(20)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the server's process for a while."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def client(self) -> Client:
        client = connect(self.url)
        self.clients.append(client)
        return client

    def settings(self, **changes: object) -> StoreSettings:
        values = {"url": self.url, "data_dir": self.folder / "data", **changes}
        return StoreSettings.model_validate(values)


@contextmanager
def running_server(
    tmp_path: Path, family: str = "valkey", *options: str
) -> Iterator[RunningServer]:
    """Run a server of a family in a folder of its own under `tmp_path`."""
    binary = binary_of(family)
    folder = tmp_path / f"{family}-server"
    folder.mkdir()
    server = RunningServer(folder, binary, options)
    server.start()
    try:
        yield server
    finally:
        for client in server.clients:
            client.close()
        server.stop()
