"""What the reader process and its parent say to each other, and how."""

from __future__ import annotations

import json
import os
import select
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

IMAGE_ROW = np.dtype(
    [
        ("image_id", "<i8"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("segment", "<u4"),
        ("channel", "u1"),
        ("mode", "u1"),
        ("reserved", "<u2"),
    ]
)
"""Where one image lies: bytes in a file, or (`MODE_PIPELINE`) a dataset's index."""

MODE_NONE = 0
MODE_LZ4 = 2
MODE_BSLZ4 = 3
MODE_BSZSTD = 4
MODE_PIPELINE = 100
"""Must be read through HDF5's filter pipeline; ``offset`` is the image's index."""
MODE_BAD = 101
"""Recorded, but unusable as it lies there."""

MAX_CHANNELS = 8

_HEAD = struct.Struct("<II")
_MAX_TEXT = 1 << 28


@dataclass(slots=True)
class Segment:
    """Images of one dataset of one file."""

    file: str
    """Absolute path without symbolic links."""
    dataset: str
    shape: tuple[int, int]
    dtype: str
    block: int = 1
    """Images that are best read together (`MODE_PIPELINE`)."""
    source_channel: int | None = None
    """Index along the dataset's second axis where it has four."""
    fault: str = ""
    """Why none of its images can be used; empty: they can."""


@dataclass(slots=True)
class Index:
    """A recording's facts and where its images lie."""

    shape: tuple[int, int]
    dtype: str
    channels: list[str]
    n_frames: int
    header: dict[str, Any]
    segments: list[Segment]
    stamps: dict[str, list[int]]
    """Per file: inode, size, mtime_ns when it was read."""
    problems: list[str] = field(default_factory=list)
    rows: np.ndarray[Any, np.dtype[Any]] = field(
        default_factory=lambda: np.empty(0, IMAGE_ROW)
    )


def stamp(path: str) -> list[int]:
    """Return what changes when a file is written to or replaced."""
    status = os.stat(path)  # noqa: PTH116
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def send(fd: int, message: Mapping[str, Any], blob: bytes | memoryview = b"") -> None:
    """Write one message: JSON and bytes."""
    text = json.dumps({**message, "bytes": len(blob)}).encode()
    _write(fd, _HEAD.pack(len(text), 0))
    _write(fd, text)
    if len(blob):
        _write(fd, blob)


def receive(fd: int, timeout_s: float | None = None) -> tuple[dict[str, Any], bytes]:
    """Read one message.

    Parameters
    ----------
    fd
        Pipe to read from.
    timeout_s
        Longest silence accepted [s]; None: for ever.

    Raises
    ------
    EOFError
        The other side is gone.
    TimeoutError
        It was silent for too long.
    ValueError
        It does not speak our language.
    """
    length, zero = _HEAD.unpack(_read(fd, _HEAD.size, timeout_s))
    if zero or length > _MAX_TEXT:
        raise ValueError("not a message of the reader process")
    message = json.loads(bytes(_read(fd, length, timeout_s)))
    size = message.pop("bytes") if isinstance(message, dict) else None
    if not isinstance(size, int) or size < 0:
        raise ValueError("not a message of the reader process")
    return message, bytes(_read(fd, size, timeout_s)) if size else b""


def _write(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read(fd: int, size: int, timeout_s: float | None) -> bytearray:
    data = bytearray()
    while len(data) < size:
        if timeout_s is not None:
            _wait(fd, timeout_s)
        part = os.read(fd, min(size - len(data), 1 << 20))
        if not part:
            raise EOFError("the reader process is gone")
        data += part
    return data


def _wait(fd: int, timeout_s: float) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(timeout_s * 1000):
        raise TimeoutError(f"no answer for {timeout_s:g} s")
