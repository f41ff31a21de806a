"""A service that touches nothing of another one: its own folder, store and streams."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from eigerwatch.children import Child
from eigerwatch.config import ENV_PREFIX, KERNEL_VARIANT_VARIABLE, Settings
from eigerwatch.embedded import SOCKET_PATH_BYTES
from eigerwatch.errors import ConfigError, EigerwatchError

_LONGEST_SOCKET = "store/valkey/server.sock"


def isolated(settings: Settings, folder: Path) -> Settings:
    """Return settings whose store, archive and streams lie in `folder`.

    Nobody else is told anything, and nobody else's machines do the work.
    """
    return settings.model_copy(
        update={
            "stream": settings.stream.model_copy(
                update={
                    "endpoint": f"ipc://{folder}/stream",
                    "source": "sim",
                    "tee": None,
                }
            ),
            "executor": None,
            "targets": settings.targets.model_copy(update={"webhooks": ()}),
            "web": settings.web.model_copy(update={"host": "127.0.0.1"}),
            "replay": settings.replay.model_copy(
                update={"endpoint": f"ipc://{folder}/replay"}
            ),
            "store": settings.store.model_copy(
                update={"url": None, "data_dir": folder / "store"}
            ),
            "archive": settings.archive.model_copy(update={"dir": folder / "archive"}),
        }
    )


@contextmanager
def short_folder() -> Iterator[Path]:
    """Give a folder, for as long as it is needed, whose sockets have short paths.

    Raises
    ------
    ConfigError
        No folder for temporary files is short enough and writable.
    """
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        try:
            folder = tempfile.TemporaryDirectory(prefix="eigerwatch-", dir=parent)
        except OSError:
            continue
        with folder as name:
            if len(os.fsencode(f"{name}/{_LONGEST_SOCKET}")) <= SOCKET_PATH_BYTES:
                yield Path(name)
                return
    raise ConfigError(
        f"{tempfile.gettempdir()}: cannot hold the sockets, whose paths may "
        f"have {SOCKET_PATH_BYTES} bytes; set TMPDIR to a shorter, writable folder"
    )


def write_settings(settings: Settings, path: Path) -> None:
    """Write settings to a file that `load_settings` reads back."""
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))


@contextmanager
def without_variables() -> Iterator[None]:
    """Hide the environment's settings from processes that are prepared within.

    They would beat what the file of an isolated service says.
    """
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.upper().startswith(ENV_PREFIX) and name != KERNEL_VARIANT_VARIABLE
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def what_was_sent(path: Path, simulator: Child, *, interrupted: bool) -> dict[str, Any]:
    """Return the simulator's summary; an empty one where it was stopped too early.

    Raises
    ------
    EigerwatchError
        The simulator failed by itself.
    """
    if path.exists():
        written: dict[str, Any] = json.loads(path.read_text())
        return written
    if not interrupted:
        raise EigerwatchError(
            f"the simulator ended with code {simulator.poll()}; see its message above"
        )
    return {"sent": 0, "late": 0, "dropped": 0, "series": []}
