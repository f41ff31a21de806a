"""How a pixel mask is kept in Redis and in archives: its shape, and packed bits."""

from __future__ import annotations

import zlib

from eigerwatch.model import PixelMask

_LEVEL = 6
"""Gaps compress a hundredfold at any level; masks are written once a series."""
_MAX_PIXELS = 2**30


def encode(mask: PixelMask) -> bytes:
    """Return ``y x`` in text, a newline, and the bitmap compressed by zlib."""
    y, x = mask.shape
    return b"%d %d\n" % (y, x) + zlib.compress(mask.used, _LEVEL)


def decode(data: bytes) -> PixelMask | None:
    """Return the mask; None if the bytes hold none."""
    head, _, packed = data.partition(b"\n")
    try:
        y, x = map(int, head.split())
        if y < 1 or x < 1 or y * x > _MAX_PIXELS:
            return None
        size = (y * x + 7) // 8
        used = zlib.decompressobj().decompress(packed, size)
    except (ValueError, zlib.error):
        return None
    return PixelMask((y, x), used) if len(used) == size else None
