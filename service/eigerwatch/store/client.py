"""Connections to Redis: own deadlines, errors in words, and what a server must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from eigerwatch.errors import ConfigError, StoreError
from eigerwatch.log import printable

SOCKET_TIMEOUT_S = 1.5
"""Longest wait for one answer; redis-py's own defaults add up to 15 s."""
OLDEST = (6, 2)
"""Oldest server version that has all commands we use."""

Client = Any
"""A `redis.Redis` made by `connect`. Not typed further: redis-py's annotations leave
open whether replies are text or bytes; here they are bytes."""

_CURES = {
    "OOM": "Redis is full (OOM): raise its maxmemory, or archive or delete series",
    "MISCONF": (
        "Redis cannot write to its disk (MISCONF): free space on the server's disk"
    ),
    "LOADING": "Redis is still loading its data (LOADING): wait",
    "READONLY": (
        "this Redis is a read-only replica (READONLY): point store.url at the primary "
        "server"
    ),
    "NOAUTH": (
        "Redis asks for a password (NOAUTH): put it into store.url, "
        "redis://:password@host:port/0"
    ),
    "WRONGPASS": "Redis refuses the user or password (WRONGPASS): correct store.url",
    "NOPERM": (
        "the Redis user may not do this (NOPERM): allow it our keys, "
        "ACL SETUSER <user> ~eigerwatch:* +@all -@dangerous +info"
    ),
    "WRONGTYPE": (
        "another program holds one of our keys with another type (WRONGTYPE): "
        "delete that key, or give Eigerwatch a database of its own in store.url"
    ),
    "CLUSTERDOWN": "Redis runs as a cluster, which is not supported: use one server",
    "MOVED": "Redis runs as a cluster, which is not supported: use one server",
    "BUSY": "Redis is busy with another program's script (BUSY): wait or stop it",
    "MASTERDOWN": "this Redis is a replica without a primary: repair or replace it",
    "NOREPLICAS": "Redis misses its replicas (NOREPLICAS): start them",
}
_CODES = (
    (redis.OutOfMemoryError, "OOM"),
    (redis.BusyLoadingError, "LOADING"),
    (redis.ReadOnlyError, "READONLY"),
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.AuthenticationError, "NOAUTH"),
)
"""redis-py cuts the code off the message where it has a class for it."""


def connect(
    url: str,
    *,
    timeout_s: float = SOCKET_TIMEOUT_S,
    retries: int = 1,
    on_connect: Callable[[], None] | None = None,
) -> Client:
    """Return a client; nothing is sent yet.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` or ``unix://``.
    timeout_s
        Longest wait for connecting and for each answer [s].
    retries
        How often a command is repeated after a broken connection; never after a
        time-out, so that a frozen server costs `timeout_s` once.
    on_connect
        Called for every new connection: redis-py replaces broken ones silently.

    Raises
    ------
    ConfigError
        The URL is none that Redis clients know.
    """
    more: dict[str, Any] = {}
    if on_connect is not None:

        def greet(connection: Any) -> None:
            connection.on_connect()
            on_connect()

        more["redis_connect_func"] = greet
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(
                NoBackoff(), retries, supported_errors=(redis.ConnectionError,)
            ),
            protocol=2,
            decode_responses=False,
            **more,
        )
    except ValueError as exc:
        raise ConfigError(
            f"store.url = {without_password(url)!r}: {exc}; an address such as "
            "redis://host:6379/0 or unix:///run/redis.sock"
        ) from exc


def without_password(url: str) -> str:
    """Return `url` fit for a log line."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user = parts.username or ""
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:***@{host}").geturl()


def code_of(exc: BaseException) -> str | None:
    """Return the code of a refusal, e.g. ``OOM``; None if it has none we know."""
    # In a pipeline redis-py puts the command before the server's words.
    text = str(exc).rpartition("caused error: ")[2]
    word = re.match(r"[A-Z]+\b", text)
    if word is not None and word.group() in _CURES:
        return word.group()
    return next((code for kind, code in _CODES if isinstance(exc, kind)), None)


def is_curable(exc: BaseException) -> bool:
    """Tell whether the same command may succeed later."""
    if not isinstance(exc, redis.ResponseError):
        return True
    code = code_of(exc)
    return code is not None and code != "WRONGTYPE"


def explain(exc: BaseException) -> str:
    """Return one sentence that names the trouble and its cure."""
    code = code_of(exc)
    if code is not None:
        return _CURES[code]
    text = printable(str(exc), 200)
    if isinstance(exc, redis.TimeoutError):
        return "Redis does not answer: see whether its process is stopped or overloaded"
    if isinstance(exc, redis.ConnectionError | OSError):
        return f"Redis cannot be reached ({text}): start it or correct store.url"
    return f"Redis refuses: {text}"


@contextmanager
def translated() -> Iterator[None]:
    """Turn redis-py's errors into `StoreError`."""
    try:
        yield
    except (redis.RedisError, OSError) as exc:
        raise StoreError(explain(exc)) from exc


def check_server(client: Client) -> list[str]:
    """Check that the server keeps what it is given.

    Returns
    -------
    list of str
        Warnings, each one sentence with its cure.

    Raises
    ------
    StoreError
        Redis is away, too old, a cluster or a replica, or may evict keys.
    """
    with translated():
        try:
            info: dict[str, Any] = client.info()
        except redis.ResponseError as exc:
            if code_of(exc) != "NOPERM":
                raise
            return [
                "the Redis user may not call INFO, so version, eviction policy and "
                "persistence are not checked: allow it +info"
            ]
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        raise StoreError(
            f"Redis {version} is too old: install Redis 6.2 or newer, or Valkey"
        )
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") in (1, "1"):
        raise StoreError(_CURES["MOVED"])
    if info.get("role") in ("slave", "replica"):
        raise StoreError(_CURES["READONLY"])
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise StoreError(
            f"Redis may drop frames by itself (maxmemory-policy {policy}): "
            "run CONFIG SET maxmemory-policy noeviction and put it into redis.conf"
        )
    if info.get("aof_enabled") in (0, "0"):
        return [
            "Redis keeps no append-only file, a crash of the server loses its data: "
            "run CONFIG SET appendonly yes and put it into redis.conf"
        ]
    return []


def has_command(client: Client, name: str) -> bool:
    """Tell whether the server knows a command; redis-py's errors pass.

    Read as a raw reply: redis-py's parser fails on the nil of an unknown command.
    """
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command("COMMAND", "INFO", name)
        reply = connection.read_response()
    except redis.ResponseError:  # NOPERM
        return False
    finally:
        client.connection_pool.release(connection)
    return bool(isinstance(reply, list) and reply and reply[0])
