"""How long the keys of a series live: TTL, pinning, removal."""

from __future__ import annotations

import json
from collections.abc import Iterable

from eigerwatch.errors import UnknownSeriesError
from eigerwatch.store import keys
from eigerwatch.store.client import Client, translated

MAX_CHANNELS = 16
"""Channels considered per series, whatever its meta says."""
PIPELINED = 500
"""Commands sent at once."""


def channels_of(meta: dict[bytes, bytes]) -> tuple[str, ...]:
    """Return the channels that a series' meta names, in order."""
    names: list[str] = []
    try:
        stated = json.loads(meta.get(b"channels", b"[]"))
    except (ValueError, RecursionError):
        stated = []
    if isinstance(stated, list):
        names += [n for n in stated if isinstance(n, str)]
    for field in sorted(meta):
        if field.startswith(b"ledger:"):
            names.append(field[7:].decode("utf-8", "replace"))
    return tuple(dict.fromkeys(n for n in names if len(n) <= 256))[:MAX_CHANNELS]


def names_of(client: Client, key: str, channels: Iterable[str]) -> list[str]:
    """Return the keys that a series of these channels can have."""
    names = [
        keys.meta(key),
        keys.ticks(key),
        keys.events(key),
        keys.notes(key),
        keys.exclusions(key),
        keys.tags(key),
        keys.summary(key),
    ]
    for channel in channels:
        frames = int(client.strlen(keys.ok(key, channel)))
        chunks = range(-(-frames // keys.CHUNK_FRAMES))
        names += [
            keys.ok(key, channel),
            keys.rejected(key, channel),
            keys.mask(key, channel),
        ]
        names += [keys.rows(key, channel, chunk) for chunk in chunks]
        names += [keys.regions(key, channel, chunk) for chunk in chunks]
    return names


def refresh(
    client: Client, key: str, ttl_ms: int, channels: Iterable[str] = ()
) -> None:
    """Let every key of a series live `ttl_ms` from now, for ever if it is pinned.

    Parameters
    ----------
    channels
        Channels to consider besides those in the series' meta.
    """
    meta = client.hgetall(keys.meta(key))
    everything = dict.fromkeys([*channels_of(meta), *channels])
    names = names_of(client, key, everything)
    pinned = meta.get(b"pinned") == b"1"
    for start in range(0, len(names), PIPELINED):
        pipe = client.pipeline(transaction=False)
        for name in names[start : start + PIPELINED]:
            if pinned:
                pipe.persist(name)
            else:
                pipe.pexpire(name, ttl_ms)
        pipe.execute(raise_on_error=False)


def pin(client: Client, key: str, pinned: bool, ttl_ms: int) -> None:
    """Keep a series in Redis for ever, or let its TTL run again.

    Raises
    ------
    UnknownSeriesError
        Redis has no such series.
    StoreError
        Redis is away or refuses.
    """
    with translated():
        if not client.exists(keys.meta(key)):
            raise UnknownSeriesError(key)
        client.hset(keys.meta(key), "pinned", "1" if pinned else "0")
        refresh(client, key, ttl_ms)


def remove(client: Client, key: str) -> None:
    """UNLINK every key of a series and take it off the list.

    Raises
    ------
    StoreError
        Redis is away or refuses.
    """
    with translated():
        # meta goes first: without it a half removed series is no series any more.
        pipe = client.pipeline(transaction=True)
        pipe.unlink(keys.meta(key))
        pipe.zrem(keys.SERIES, key)
        pipe.execute()
        names = list(client.scan_iter(match=keys.pattern(key), count=1000))
        for start in range(0, len(names), PIPELINED):
            client.unlink(*names[start : start + PIPELINED])
