"""One compressed image: what its message states about it must agree."""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

from eigerwatch.model import Buffer, Encoding, Image, RejectReason

UINT8: Final = np.dtype("u1")
UINT16: Final = np.dtype("<u2")
UINT32: Final = np.dtype("<u4")

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "uint8": UINT8,
    "uint16": UINT16,
    "uint32": UINT32,
}
"""By the names that both stream versions use."""

MAX_SIDE = 65_535
"""Longest side of an image [pixels]."""
USUAL_BLOCK = 8192
"""Bytes per bitshuffle block wherever the sender does not choose."""

_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I").unpack_from


class ImageError(Exception):
    """An image cannot be used; becomes a `BadFrame` and never leaves the package."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def check_shape(rows: object, columns: object, max_pixels: int) -> tuple[int, int]:
    """Return (rows, columns) if they can be an image's.

    Raises
    ------
    ImageError
        Not two positive integers, or more than `max_pixels`.
    """
    if type(rows) is not int or type(columns) is not int or rows < 1 or columns < 1:
        raise ImageError(
            RejectReason.CONTRADICTION,
            f"shape ({rows!r:.40}, {columns!r:.40}) is no image",
        )
    if rows > MAX_SIDE or columns > MAX_SIDE or rows * columns > max_pixels:
        raise ImageError(
            RejectReason.SIZE,
            f"{rows!r:.20} x {columns!r:.20} pixels exceed the {max_pixels} allowed",
        )
    return rows, columns


def make_image(
    channel: str,
    encoding: Encoding,
    dtype: np.dtype[Any],
    shape: tuple[int, int],
    payload: memoryview,
) -> Image:
    """Return the image if the payload's own statements fit it.

    Two simulators in use send bslz4 without its 12-byte header, or with zeros there.
    Such a payload is given the header that its geometry calls for.

    Raises
    ------
    ImageError
        The payload is empty, or for another image size than the message states.
    """
    size = shape[0] * shape[1] * dtype.itemsize
    if encoding is Encoding.BSLZ4:
        if len(payload) < 12 or _HEADER.unpack_from(payload)[0] != size:
            return Image(
                channel, encoding, dtype, shape, _with_header(payload, size, dtype)
            )
    elif encoding in (Encoding.LZ4, Encoding.BSZSTD):
        stated = _HEADER.unpack_from(payload)[0] if len(payload) >= 12 else 0
        if stated != size:
            raise _size_mismatch(encoding, stated, size)
    elif encoding is Encoding.NONE:
        if len(payload) != size:
            raise _size_mismatch(encoding, len(payload), size)
    elif not len(payload):
        raise _size_mismatch(encoding, 0, size)
    return Image(channel, encoding, dtype, shape, payload)


def _size_mismatch(encoding: Encoding, stated: int, size: int) -> ImageError:
    return ImageError(
        RejectReason.CONTRADICTION,
        f"the {encoding} data is for {stated} bytes, the image has {size}",
    )


def _with_header(payload: memoryview, size: int, dtype: np.dtype[Any]) -> Buffer:
    for blocks in (payload[12:] if bytes(payload[:12]) == bytes(12) else None, payload):
        if blocks is not None and _fills(blocks, size, dtype.itemsize):
            return _HEADER.pack(size, USUAL_BLOCK) + blocks
    stated = _HEADER.unpack_from(payload)[0] if len(payload) >= 12 else 0
    raise _size_mismatch(Encoding.BSLZ4, stated, size)


def _fills(blocks: memoryview, size: int, itemsize: int) -> bool:
    """Tell whether `blocks` are the compressed blocks of `size` bytes, and no more."""
    # The pixels beyond the last multiple of eight follow as they are.
    tail = size % (8 * itemsize)
    n_blocks = -(-(size - tail) // USUAL_BLOCK)
    end = len(blocks) - tail
    position = 0
    for _ in range(n_blocks):
        if position + 4 >= end:
            return False
        (length,) = _LENGTH(blocks, position)
        if length == 0:
            return False
        position += 4 + length
    return position == end
