"""Names of every key in Redis, and where a frame lies in them."""

from __future__ import annotations

import re

from eigerwatch.model import FRAME_RECORD

PREFIX = "eigerwatch:"
SERIES = PREFIX + "series"
"""Sorted set of series keys, scored by last write [ms]."""
CONTROL = PREFIX + "control"
"""Stream of commands from the page to the consumer."""
LEASE = PREFIX + "lease"
"""Who owns the detector's stream."""
REPLAY = PREFIX + "replay"
"""Hash of the replay that the page commands."""
NEXT_SETTINGS = PREFIX + "next_settings"
"""Hash of what the next series is counted with."""
ALARMS = PREFIX + "alarms"
"""Stream of what happened to alarms."""

CHUNK_FRAMES = 10_000
"""Frames in one chunk of rows."""
ROW_BYTES = FRAME_RECORD.itemsize

_SERIES_KEY = re.compile(r"(live|sim|replay|file):[A-Za-z0-9_.:+-]{1,160}")


def answer(command: str) -> str:
    """Name the list with what became of a command."""
    return f"{PREFIX}answer:{command}"


def is_series_key(key: str) -> bool:
    """Tell whether `key` is ``<source>:<id>`` in harmless characters."""
    return _SERIES_KEY.fullmatch(key) is not None


def _of(key: str, *rest: str) -> str:
    return ":".join((f"{PREFIX}{{{key}}}", *rest))


def meta(key: str) -> str:
    """Name the hash of what is known about the series."""
    return _of(key, "meta")


def rows(key: str, channel: str, chunk: int) -> str:
    """Name the string with the records of one chunk."""
    return _of(key, channel, "rows", str(chunk))


def ok(key: str, channel: str) -> str:
    """Name the string of one byte per frame, 1 = stored."""
    return _of(key, channel, "ok")


def rejected(key: str, channel: str) -> str:
    """Name the hash of image_id to reason."""
    return _of(key, channel, "rejected")


def regions(key: str, channel: str, chunk: int) -> str:
    """Name the string with the region rows of one chunk."""
    return _of(key, channel, "regions", str(chunk))


def preview(key: str, channel: str) -> str:
    """Name the string with the newest preview image."""
    return _of(key, channel, "preview")


def mask(key: str, channel: str) -> str:
    """Name the string with the detector's own pixel mask."""
    return _of(key, channel, "mask")


def ticks(key: str) -> str:
    """Name the stream of one entry per flush and channel."""
    return _of(key, "ticks")


def events(key: str) -> str:
    """Name the stream of what happened in the series."""
    return _of(key, "events")


def notes(key: str) -> str:
    """Name the hash of what people wrote about the series."""
    return _of(key, "notes")


def exclusions(key: str) -> str:
    """Name the stream of frame ranges people excluded or took back."""
    return _of(key, "exclusions")


def tags(key: str) -> str:
    """Name the hash of the series' labels to when they were given [ns]."""
    return _of(key, "tags")


def summary(key: str) -> str:
    """Name the hash of the series' figures for lists, and what they rest on."""
    return _of(key, "summary")


def ts(key: str, column: str, channel: str | None = None) -> str:
    """Name the time series of an aggregate; `channel` for all but the first."""
    return _of(key, "ts", column, *(() if channel is None else (channel,)))


def pattern(key: str) -> str:
    """Return a glob for SCAN that matches every key of the series and nothing else."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", _of(key)) + ":*"


def ledger_field(channel: str) -> str:
    """Name the field of `meta` with the ledger of one channel."""
    return f"ledger:{channel}"


def slots_field(channel: str) -> str:
    """Name the field of `meta` that tells how many region rows a frame has."""
    return f"region_slots:{channel}"
