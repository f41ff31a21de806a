"""The binary message that carries what a plot shows; same bytes on every transport.

Little-endian: u32 magic, u32 header length, JSON header padded with spaces, blocks.
Every block starts at a multiple of 8 bytes, so that a browser can make typed views.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

MAGIC = 0x31545745
"""The bytes ``EWT1``."""

_PREFIX = struct.Struct("<II")
_ALIGNMENT = 8
_DTYPES: dict[str, np.dtype[Any]] = {
    "u4": np.dtype("<u4"),
    "f4": np.dtype("<f4"),
    "u1": np.dtype("u1"),
}


def dumps(content: Mapping[str, Any]) -> str:
    """Write compact JSON; NaN is an error."""
    return json.dumps(content, allow_nan=False, separators=(",", ":"))


def encode(header: Mapping[str, Any], blocks: Mapping[str, np.ndarray]) -> bytes:
    """Pack a header and named arrays; `header` gets the key ``blocks``.

    Parameters
    ----------
    header
        Anything that JSON can say, without NaN.
    blocks
        1-D arrays of uint32, float32 or uint8.
    """
    names = {dtype: name for name, dtype in _DTYPES.items()}
    described = [
        {"name": name, "dtype": names[array.dtype], "len": len(array)}
        for name, array in blocks.items()
    ]
    text = dumps({**header, "blocks": described}).encode()
    text += b" " * (-(_PREFIX.size + len(text)) % _ALIGNMENT)
    parts = [_PREFIX.pack(MAGIC, len(text)), text]
    for array in blocks.values():
        data = array.tobytes()
        parts += [data, bytes(-len(data) % _ALIGNMENT)]
    return b"".join(parts)


def decode(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Undo `encode`.

    Raises
    ------
    ValueError
        The bytes are no such message, or are cut off.
    """
    if len(message) < _PREFIX.size:
        raise ValueError(f"{len(message)} bytes are no tick")
    magic, length = _PREFIX.unpack_from(message)
    if magic != MAGIC or _PREFIX.size + length > len(message):
        raise ValueError(f"no tick: magic {magic:#x}, header of {length} bytes")
    header = json.loads(message[_PREFIX.size : _PREFIX.size + length])
    position = _PREFIX.size + length
    blocks = {}
    for block in header["blocks"]:
        dtype = _DTYPES[block["dtype"]]
        blocks[block["name"]] = np.frombuffer(message, dtype, block["len"], position)
        size = block["len"] * dtype.itemsize
        position += size + -size % _ALIGNMENT
    return header, blocks
