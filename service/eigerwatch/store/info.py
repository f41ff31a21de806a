"""What is known about a stored series, read from its meta without trusting it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eigerwatch.model import SourceState
from eigerwatch.store import keys

FIELD_BYTES = 4 * 2**20
"""A longer field of meta is cut off."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the frames of one channel are.

    stored + rejected + outstanding + missing = highest + 1, always.
    """

    stored: int
    rejected: int
    outstanding: int
    missing: int
    highest: int
    """Highest image_id seen; -1: none."""
    late: int = 0
    duplicates: int = 0
    conflicts: int = 0
    settled_below: int = 0
    """All frames below this image_id are settled."""


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A stored series; None where the header did not say."""

    key: str
    source: str
    state: str
    series_id: int | None
    series_unique_id: str | None
    channels: tuple[str, ...]
    number_of_images: int | None
    frame_time_s: float | None
    count_time_s: float | None
    shape: tuple[int, int] | None
    """(y, x) [pixels]."""
    dtype: str | None
    detector: str | None
    serial: str | None
    filter_low: int | None
    filter_high: int | None
    started_ms: int | None
    last_write_ms: int | None
    ended_ms: int | None
    end_seen: bool
    header_missing: bool
    pinned: bool
    archived: bool
    origin: str | None
    """The original of a replay, as JSON text."""
    meta: dict[str, str]
    """All of meta as text."""
    ledgers: dict[str, Ledger]


def text_of(raw: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return meta as text, whatever bytes it holds."""
    return {
        name.decode("utf-8", "replace"): value[:FIELD_BYTES].decode("utf-8", "replace")
        for name, value in raw.items()
    }


def ledger_of(
    meta: Mapping[str, str], channel: str, stored: int, rejected: int, frames: int
) -> Ledger:
    """Combine what Redis counted with what the series' ledger says.

    Parameters
    ----------
    stored, rejected
        Counted in `ok` and in the hash of rejections.
    frames
        Length of `ok`: highest image_id seen + 1.
    """
    said = json_of(meta.get(keys.ledger_field(channel)), dict) or {}
    stored = min(stored, frames)
    rejected = min(rejected, frames - stored)
    # What the ledger calls missing may have come a moment later; never negative.
    missing = min(_count(said, "missing"), frames - stored - rejected)
    return Ledger(
        stored=stored,
        rejected=rejected,
        outstanding=frames - stored - rejected - missing,
        missing=missing,
        highest=frames - 1,
        late=_count(said, "late"),
        duplicates=_count(said, "duplicates"),
        conflicts=_count(said, "conflicts"),
        settled_below=min(_count(said, "settled_below"), frames),
    )


def series_info(
    key: str,
    meta: dict[str, str],
    channels: tuple[str, ...],
    ledgers: dict[str, Ledger],
    *,
    last_write_ms: int | None,
    archived: bool,
) -> SeriesInfo:
    """Read the fields of meta; what makes no sense becomes None."""
    limits = json_of(meta.get("filter"), dict) or {}
    shape = json_of(meta.get("shape"), list) or []
    sides = [n for n in map(_integer, shape) if n is not None and n > 0]
    state = meta.get("state", "")
    return SeriesInfo(
        key=key,
        source=key.partition(":")[0],
        state=state if state in set(SourceState) else SourceState.NO_DATA.value,
        series_id=_integer(meta.get("series_id")),
        series_unique_id=meta.get("series_unique_id") or None,
        channels=channels,
        number_of_images=_integer(meta.get("number_of_images")),
        frame_time_s=_seconds(meta.get("frame_time_s")),
        count_time_s=_seconds(meta.get("count_time_s")),
        shape=(sides[0], sides[1]) if len(shape) == len(sides) == 2 else None,
        dtype=meta.get("dtype") or None,
        detector=meta.get("detector") or None,
        serial=meta.get("serial") or None,
        filter_low=_integer(limits.get("low")),
        filter_high=_integer(limits.get("high")),
        started_ms=_integer(meta.get("started_ms")),
        last_write_ms=last_write_ms,
        ended_ms=_integer(meta.get("ended_ms")),
        end_seen=meta.get("end_seen") == "1",
        header_missing=meta.get("header_missing") == "1",
        pinned=meta.get("pinned") == "1",
        archived=archived,
        origin=meta.get("origin") or None,
        meta=meta,
        ledgers=ledgers,
    )


def json_of(text: str | None, kind: type) -> Any:
    """Return JSON of the expected kind, else None."""
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, kind) else None


def _count(said: Mapping[str, Any], name: str) -> int:
    value = _integer(said.get(name))
    return max(0, value) if value is not None else 0


def _integer(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if -(2**63) <= number < 2**64 else None


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
