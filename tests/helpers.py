"""What several test folders share."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def wait_until(
    predicate: Callable[[], Any], timeout_s: float = 20.0, what: str = "condition"
) -> Any:
    """Poll until `predicate()` is true and return its value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} not reached within {timeout_s} s")
        time.sleep(0.02)


def read_zcap(name: str) -> Iterator[list[bytes]]:
    """Yield the recorded multipart messages of one capture in shared data."""
    raw = (SHARED_DATA / name).read_bytes()
    position = 0
    while position < len(raw):
        (n_parts,) = struct.unpack_from("<I", raw, position)
        position += 4
        parts = []
        for _ in range(n_parts):
            (length,) = struct.unpack_from("<Q", raw, position)
            position += 8
            parts.append(raw[position : position + length])
            position += length
        yield parts


def manifest() -> dict[str, Any]:
    """Return the expected results of the recorded data."""
    return json.loads((SHARED_DATA / "manifest.json").read_text())
