"""`eigerwatch demo` as a user starts it, for tests that look from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from helpers import wait_until

from eigerwatch.children import die_with

CLOCK_HZ = os.sysconf("SC_CLK_TCK")


def answers(url: str) -> bool:
    """Return whether a web server answers there, whatever it says."""
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError as error:
        return error.code != 502
    except OSError:
        return False


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has taken so far [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_HZ


def resident_mb(pid: int) -> float:
    """Return a process's resident memory [MB]."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def children(pid: int) -> list[int]:
    """Return the processes below one, nearest first."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found + [below for child in found for below in children(child)]


class RunningDemo:
    """A demo on a free port, and its processes."""

    def __init__(self, *options: str, **variables: str) -> None:
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "eigerwatch", "demo", "--port", "0", *options],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=partial(die_with, os.getpid()),
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = wait_until(self._page, 60, "the demo's page")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.append(line)

    def _page(self) -> str | None:
        assert self._process.poll() is None, "the demo ended"
        pages = [line for line in self._lines if line.startswith("page: ")]
        return pages[0].split()[1] if pages else None

    @property
    def web_pid(self) -> int:
        """The process that serves the page."""
        for pid in children(self._process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"--only" in command and b"web" in command:
                return pid
        raise AssertionError("the demo has no web process")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold the process with the consumer, which is the demo itself."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def frozen_detector(self) -> Iterator[None]:
        """Hold the virtual detector."""
        (pid,) = (
            pid
            for pid in children(self._process.pid)
            if b"eigersim" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def stop(self) -> str:
        """Stop it as Ctrl-C does and return what it said."""
        if self.alive:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._reader.join(5)
        return "".join(self._lines)


@contextmanager
def running_demo(*options: str, **variables: str) -> Iterator[RunningDemo]:
    """Run a demo for as long as it is needed."""
    demo = RunningDemo(*options, **variables)
    try:
        yield demo
    finally:
        demo.stop()
