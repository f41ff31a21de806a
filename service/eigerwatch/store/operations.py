"""What the pipeline reports to the writer, in the order in which it happened."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Value = str | int | float
"""What a field of meta may hold."""
OVERHEAD_BYTES = 512
"""What Python takes for an operation, besides the data in it."""


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
class Mask:
    """The detector told which pixels it masks."""

    key: str
    channel: str
    data: bytes
    """As `maskcodec.encode` returns it."""


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


Operation = Open | Update | Mask | Append | Reject | Extend | Ledger | Event | Close


def size_of(operation: Operation) -> int:
    """Return the bytes that an operation takes in memory, roughly."""
    size = OVERHEAD_BYTES
    match operation:
        case Open(meta=fields) | Update(meta=fields) | Close(meta=fields):
            size += _size_of(fields)
        case Ledger(counts=counts):
            size += _size_of(counts)
        case Event(fields=texts):
            size += _size_of(texts)
        case Mask(data=data):
            size += len(data)
        case Append(image_ids=ids, records=records, regions=regions):
            size += ids.nbytes + records.nbytes
            size += 0 if regions is None else regions.nbytes
        case Reject(reason=reason, record=record):
            size += sys.getsizeof(reason)
            size += 0 if record is None else record.nbytes
    return size


def _size_of(fields: Mapping[str, Value]) -> int:
    # Names are literals of the program, for the most part; a dict entry takes 100.
    return sum(100 + len(name) + sys.getsizeof(v) for name, v in fields.items())


def records_of(operation: Operation) -> int:
    """Return how many frames are lost with an operation."""
    match operation:
        case Append(image_ids=ids):
            return int(ids.size)
        case Reject():
            return 1
    return 0
