"""What the pipeline reports to the writer, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Value = str | int | float
"""What a field of meta may hold."""


@dataclass(slots=True)
class Open:
    """A series begins."""

    key: str
    meta: Mapping[str, Value]
    started_ms: int


@dataclass(slots=True)
class Update:
    """Fields of a series' meta change."""

    key: str
    meta: Mapping[str, Value]


@dataclass(slots=True)
class Append:
    """Frames were reduced."""

    key: str
    channel: str
    image_ids: np.ndarray[Any, Any]
    records: np.ndarray[Any, Any]
    regions: np.ndarray[Any, Any] | None


@dataclass(slots=True)
class Reject:
    """A frame came that cannot be used."""

    key: str
    channel: str
    image_id: int
    reason: str
    record: np.ndarray[Any, Any] | None


@dataclass(slots=True)
class Extend:
    """A frame number was seen or declared missing."""

    key: str
    channel: str
    highest: int


@dataclass(slots=True)
class Ledger:
    """The newest counts of one channel."""

    key: str
    channel: str
    counts: Mapping[str, int]


@dataclass(slots=True)
class Event:
    """Something happened in a series."""

    key: str
    fields: Mapping[str, str]


@dataclass(slots=True)
class Close:
    """A series is over."""

    key: str
    meta: Mapping[str, Value]


Operation = Open | Update | Append | Reject | Extend | Ledger | Event | Close
