"""Who owns the detector's stream: exactly one process at a time."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from eigerwatch.errors import LeaseError
from eigerwatch.log import printable
from eigerwatch.store import keys
from eigerwatch.store.client import Client, translated

POLL_S = 0.1


class Lease:
    """The right to pull from the detector, kept by beating.

    Parameters
    ----------
    client
        Connection pool of `client.connect`.
    ttl_s
        Silence after which another process may take over [s].
    owner
        What the owner calls itself on the page.
    """

    def __init__(
        self, client: Client, ttl_s: float = 5.0, owner: str = "eigerwatch"
    ) -> None:
        self._client = client
        self._ttl_ms = round(1000 * ttl_s)
        self._since_ms = 0
        self._about: dict[str, Any] = {
            "owner": owner,
            "token": secrets.token_hex(8),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            **_identity(os.getpid()),
        }

    def acquire(self, wait_s: float = 0.0) -> None:
        """Become the owner.

        A dead owner on this machine is replaced at once; any other holder is waited
        for, since its lease expires when it stops beating.

        Parameters
        ----------
        wait_s
            Longest wait [s].

        Raises
        ------
        LeaseError
            Another process owns the stream; the sentence names it.
        StoreError
            Redis is away or refuses.
        """
        deadline = time.monotonic() + wait_s
        self._since_ms = _now_ms()
        while True:
            with translated():
                if self._client.set(
                    keys.LEASE, self._value({}), nx=True, px=self._ttl_ms
                ):
                    return
                raw = self._client.get(keys.LEASE)
                holder = _parsed(raw)
                if raw is not None and (self._is_ours(holder) or _is_dead(holder)):
                    if self._replace(raw, {}):
                        return
                    continue
            if raw is not None and time.monotonic() >= deadline:
                raise LeaseError(f"{_describe(holder)}; stop that process first")
            time.sleep(POLL_S)

    def beat(self, status: Mapping[str, Any] | None = None) -> None:
        """Stay the owner and say how things are.

        Parameters
        ----------
        status
            Safe for JSON; shown by the page.

        Raises
        ------
        LeaseError
            Another process took over while this one was silent.
        StoreError
            Redis is away or refuses; nobody else can take over then either.
        """
        with translated():
            for _ in range(3):
                raw = self._client.get(keys.LEASE)
                if raw is None:
                    # Nobody wanted it while we were silent.
                    if self._client.set(
                        keys.LEASE, self._value(status or {}), nx=True, px=self._ttl_ms
                    ):
                        return
                    continue
                holder = _parsed(raw)
                if not self._is_ours(holder):
                    raise LeaseError(
                        f"{_describe(holder)} and took over from this process; "
                        "stop one of the two"
                    )
                if self._replace(raw, status or {}):
                    return
            raise LeaseError("the lease changes hands all the time; stop the others")

    def release(self) -> None:
        """Give the stream back, if it is still ours.

        Raises
        ------
        StoreError
            Redis is away or refuses; the lease expires by itself then.
        """
        with translated(), self._client.pipeline() as pipe:
            try:
                pipe.watch(keys.LEASE)
                if self._is_ours(_parsed(pipe.get(keys.LEASE))):
                    pipe.multi()
                    pipe.delete(keys.LEASE)
                    pipe.execute()
            except redis.WatchError:
                return

    def _replace(self, expected: bytes, status: Mapping[str, Any]) -> bool:
        """Set the lease if it still is what was read."""
        with self._client.pipeline() as pipe:
            try:
                pipe.watch(keys.LEASE)
                if pipe.get(keys.LEASE) != expected:
                    return False
                pipe.multi()
                pipe.set(keys.LEASE, self._value(status), px=self._ttl_ms)
                pipe.execute()
            except redis.WatchError:
                return False
        return True

    def _value(self, status: Mapping[str, Any]) -> bytes:
        times = {"since_ms": self._since_ms, "beat_ms": _now_ms()}
        return json.dumps(
            {**self._about, **times, "status": dict(status)}, allow_nan=False
        ).encode()

    def _is_ours(self, holder: Mapping[str, Any]) -> bool:
        return bool(holder.get("token") == self._about["token"])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _parsed(raw: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _describe(holder: Mapping[str, Any]) -> str:
    since = holder.get("since_ms")
    when = "an unknown time"
    if isinstance(since, int) and 0 < since < 2**42:
        moment = datetime.fromtimestamp(since / 1000, UTC)
        when = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    owner, host, pid = (
        printable(str(holder.get(name, "?")), 80) for name in ("owner", "host", "pid")
    )
    return f"{owner} on {host} (pid {pid}) owns the detector's stream since {when}"


def _identity(pid: int) -> dict[str, str]:
    """Return what tells a process from a later one of the same number.

    The namespace keeps containers apart that share a host name: there a pid says
    nothing about the other's processes.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return {
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "namespace": str(Path("/proc/self/ns/pid").readlink()),
            "started": stat.rpartition(")")[2].split()[19],
        }
    except (OSError, IndexError):
        return {}


def _is_dead(holder: Mapping[str, Any]) -> bool:
    """Tell whether the holder was a process of this machine that ended."""
    here = _identity(os.getpid())
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not here or "boot" not in holder:
        return False
    if not isinstance(pid, int) or not 0 < pid < 2**31:
        return False
    if holder.get("boot") != here["boot"]:
        return True
    if holder.get("namespace") != here["namespace"]:
        return False
    return _identity(pid).get("started") != holder.get("started")
