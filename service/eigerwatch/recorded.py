"""A recorded master through the simulator's stream into the running service."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from eigerwatch.accounting import Summary, account
from eigerwatch.app import EXIT_CONFIG, StopRequest, running_store
from eigerwatch.children import Child
from eigerwatch.config import Settings
from eigerwatch.errors import ConfigError, ReplayError
from eigerwatch.reading import open_reader
from eigerwatch.store.read import Reader

log = structlog.get_logger()

_CONNECT_TIMEOUT_S = 15
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the command line says."""

    stream: str = "v2"
    frame_rate_hz: float | None = None
    """None: the recorded frame time; 0: as fast as it goes."""


def replay(settings: Settings, master: Path, options: ReplayOptions) -> Summary:
    """Send a recording to the running service and wait until it is stored.

    Raises
    ------
    ConfigError
        No service runs, or it does not listen for replays.
    ReplayError
        The simulator could not send the file; its own message is on stderr.
    """
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        store_url = stack.enter_context(running_store(settings))
        reader = open_reader(settings, store_url)
        _require_service(reader, settings)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="eigerwatch-")))
        simulator = Child("eigersim", _arguments(settings, master, options, folder))
        stack.callback(simulator.stop)
        began_ms = time.time_ns() // 1_000_000
        simulator.start()
        while not stop and simulator.wait(_POLL_S) is None:
            pass
        simulator.stop()
        written = folder / "summary.json"
        if not written.exists():
            code = simulator.poll()
            raise ReplayError(
                f"{master}: not replayed, the simulator ended with code {code}"
                + ("; see its message above" if code == EXIT_CONFIG else "")
            )
        sent = json.loads(written.read_text())
        return account(reader, "replay", sent, began_ms, None)


def _require_service(reader: Reader, settings: Settings) -> None:
    owner = reader.owner()
    if owner is None:
        raise ConfigError(
            "no service is running on this store; start one with 'eigerwatch run'"
        )
    sources = (owner.get("status") or {}).get("sources") or {}
    if "replay" not in sources:
        raise ConfigError(
            "the running service takes no replays; set replay.enabled: true"
        )
    endpoint = sources["replay"].get("endpoint")
    if endpoint != settings.replay.endpoint:
        raise ConfigError(
            f"the running service listens for replays at {endpoint}, these settings "
            f"say replay.endpoint = {settings.replay.endpoint}; use its settings file"
        )


def _arguments(
    settings: Settings, master: Path, options: ReplayOptions, folder: Path
) -> list[str]:
    arguments = [
        *("run", "--master", str(master)),
        *("--endpoint", settings.replay.endpoint),
        *("--stream", options.stream),
        *("--wait-s", str(_CONNECT_TIMEOUT_S)),
        *("--header-detail", "all"),  # for the pixel mask
        *("--summary", str(folder / "summary.json")),
    ]
    for root in settings.replay.roots:
        arguments += ["--root", str(root)]
    if options.frame_rate_hz is None:
        return [*arguments, "--recorded-rate"]
    return [*arguments, "--frame-rate", str(options.frame_rate_hz)]
