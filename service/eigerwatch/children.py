"""Processes that live and die with this one: the web server, the simulator."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from eigerwatch.errors import ConfigError

_PR_SET_PDEATHSIG = 1
_STOP_TIMEOUT_S = 15.0


def die_with(parent: int) -> None:
    """Ask the kernel to end this process when `parent` ends, however it ends.

    Linux only; elsewhere a killed parent leaves its children running.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


class Child:
    """One Python process running a module's command line.

    Parameters
    ----------
    module
        What ``python -m`` runs.
    arguments
        Its command line.
    environment
        Variables added to our own.
    pass_fds
        File descriptors it keeps open.
    quiet
        Whether its standard output is dropped.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        *,
        quiet: bool = False,
    ) -> None:
        self._argv = [sys.executable, "-m", module, *arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._pass_fds = tuple(pass_fds)
        self._stdout = subprocess.DEVNULL if quiet else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; from the main thread, which its life is tied to."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("children are started from the main thread only")
        try:
            # Its own session: Ctrl-C reaches us alone, and we stop it in order.
            self._process = subprocess.Popen(
                [*self._argv, "--parent", str(os.getpid())],
                env=self._environment,
                start_new_session=True,
                pass_fds=self._pass_fds,
                stdout=self._stdout,
            )
        except OSError as exc:
            raise ConfigError(f"{self._argv[0]}: cannot be started ({exc})") from exc

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return None if self._process is None else self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the exit code; None where the process still runs."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def interrupt(self) -> None:
        """Ask the process to finish what it does (SIGTERM)."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self) -> None:
        """Ask the process to end; kill it only if it does not."""
        self.interrupt()
        if self._process is not None and self.wait(_STOP_TIMEOUT_S) is None:
            self._process.kill()
            self._process.wait()
