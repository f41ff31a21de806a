"""Compressed images to pixels, in plain numpy and with a bounded LZ4 decoder.

Slow and obvious. Every length is checked before it is used and LZ4 blocks are decoded
one by one, so that hostile data is refused, as in the kernel.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import lz4.block
import numpy as np
import numpy.typing as npt

from eigerwatch.model import Buffer

try:
    import bitshuffle
except ImportError:  # no wheels for Python 3.13
    bitshuffle = None

NONE, LZ4_BLOCK, LZ4, BSLZ4, PLANES = range(5)

MAX_PIXELS = 2**31
MAX_BLOCK_BYTES = 2**20
DEFAULT_BLOCK_BYTES = 8192
HEADER = struct.Struct(">QI")
LENGTH = struct.Struct(">I")

Pixels = npt.NDArray[np.unsignedinteger[Any]]


def pixels_of(payload: Buffer, encoding: int, itemsize: int, pixels: int) -> Pixels:
    """Decompress one image into its pixels, in order.

    Raises
    ------
    RuntimeError
        The payload is corrupt or does not fill the image.
    """
    data = memoryview(payload).cast("B")
    dtype = np.dtype(f"<u{itemsize}")
    size = pixels * itemsize
    if encoding == NONE:
        if len(data) != size:
            raise RuntimeError(f"payload has {len(data)} bytes, the image {size}")
        return np.frombuffer(data, dtype)
    if encoding == LZ4_BLOCK:
        return np.frombuffer(_decode_block(data, size, "block 0 of 1"), dtype)
    if encoding == LZ4:
        start, block_bytes = _header(data, size)
        blocks, tail = _blocks(data[start:], size, block_bytes, stored=True)
        return np.frombuffer(b"".join(blocks) + tail, dtype)

    blocked = pixels // 8 * 8 * itemsize
    if encoding == PLANES:
        start, block_bytes = _header(data, size)
        _check_block_size(block_bytes, itemsize)
        blocks, tail = _plain_blocks(data[start:], blocked, block_bytes, size - blocked)
    else:
        start, block_bytes = _framing(data, size, blocked, itemsize)
        blocks, tail = _blocks(data[start:], blocked, block_bytes, tail=size - blocked)
    parts = [*_unshuffle(blocks, dtype), np.frombuffer(tail, dtype)]
    return np.concatenate(parts)


def _framing(
    data: memoryview, size: int, blocked: int, itemsize: int
) -> tuple[int, int]:
    """Return where bslz4's first block is, and the block size [bytes]."""
    for start in _headerless_starts(data, size):
        try:
            lengths = _lengths(data[start:], blocked, DEFAULT_BLOCK_BYTES)
        except RuntimeError:
            continue
        if start + sum(lengths) + 4 * len(lengths) + size - blocked == len(data):
            return start, DEFAULT_BLOCK_BYTES
    start, block_bytes = _header(data, size)
    _check_block_size(block_bytes, itemsize)
    return start, block_bytes


def _check_block_size(block_bytes: int, itemsize: int) -> None:
    if block_bytes % (8 * itemsize) or block_bytes > MAX_BLOCK_BYTES:
        raise RuntimeError(
            f"header declares an illegal block size of {block_bytes} bytes"
        )


def check_image(encoding: int, itemsize: int, pixels: int) -> None:
    """Raise `ValueError` where an image cannot be of this kind."""
    if encoding not in (NONE, LZ4_BLOCK, LZ4, BSLZ4, PLANES):
        raise ValueError(f"encoding must be 0 to 4, not {encoding}")
    if itemsize not in (1, 2, 4):
        raise ValueError(f"itemsize must be 1, 2 or 4, not {itemsize}")
    if not 0 < pixels <= MAX_PIXELS:
        raise ValueError(f"pixels must be 1 to {MAX_PIXELS}, not {pixels}")


def _header(data: memoryview, size: int) -> tuple[int, int]:
    """Return where the first block is, and the block size [bytes]."""
    if len(data) < HEADER.size:
        raise RuntimeError(
            f"payload of {len(data)} bytes is shorter than its header of {HEADER.size}"
        )
    declared, block_bytes = HEADER.unpack_from(data)
    if declared != size:
        raise RuntimeError(f"header declares {declared} bytes, the image has {size}")
    if block_bytes == 0:
        raise RuntimeError("header declares an illegal block size of 0 bytes")
    return HEADER.size, block_bytes


def _headerless_starts(data: memoryview, size: int) -> list[int]:
    """Return where blocks may start if `data` has no header, or one of zeros."""
    if len(data) < HEADER.size:
        return [0]
    declared, _ = HEADER.unpack_from(data)
    if declared == size:
        return []
    return [0] if any(data[: HEADER.size]) else [HEADER.size, 0]


def _lengths(data: memoryview, size: int, block_bytes: int) -> list[int]:
    """Return the compressed lengths of the blocks that hold `size` bytes."""
    n_blocks = math.ceil(size / block_bytes)
    lengths = []
    position = 0
    for block in range(n_blocks):
        if len(data) - position < LENGTH.size:
            raise RuntimeError(
                f"payload ends before the length of block {block} of {n_blocks}"
            )
        (length,) = LENGTH.unpack_from(data, position)
        position += LENGTH.size
        if length == 0 or length > len(data) - position:
            raise RuntimeError(
                f"block {block} of {n_blocks} has a length of {length} bytes, "
                f"the payload has {len(data) - position} left"
            )
        position += length
        lengths.append(length)
    return lengths


def _blocks(
    data: memoryview, size: int, block_bytes: int, tail: int = 0, stored: bool = False
) -> tuple[list[bytes], bytes]:
    """Return the decoded blocks and the raw tail after them."""
    blocks = []
    lengths = _lengths(data, size, block_bytes)
    position = 0
    for n, length in enumerate(lengths):
        position += LENGTH.size
        block = data[position : position + length]
        expected = min(block_bytes, size - n * block_bytes)
        if not (stored and length == expected):
            name = f"block {n} of {len(lengths)}"
            blocks.append(_decode_block(block, expected, name))
        else:
            blocks.append(bytes(block))
        position += length
    return blocks, _tail(data[position:], tail, len(lengths))


def _plain_blocks(
    data: memoryview, size: int, block_bytes: int, tail: int
) -> tuple[list[bytes], bytes]:
    """Return blocks that are not compressed, and the raw tail after them."""
    n_blocks = math.ceil(size / block_bytes)
    blocks = []
    for n in range(n_blocks):
        start = n * block_bytes
        expected = min(block_bytes, size - start)
        if len(data) - start < expected:
            raise RuntimeError(
                f"block {n} of {n_blocks} has a length of {expected} bytes, "
                f"the payload has {len(data) - start} left"
            )
        blocks.append(bytes(data[start : start + expected]))
    return blocks, _tail(data[size:], tail, n_blocks)


def _tail(data: memoryview, expected: int, n_blocks: int) -> bytes:
    if len(data) < expected:
        raise RuntimeError(
            f"payload ends inside the raw tail after block {n_blocks}: "
            f"{len(data)} of {expected} bytes"
        )
    if len(data) > expected:
        raise RuntimeError(
            f"{len(data) - expected} trailing bytes after block {n_blocks}, the last"
        )
    return bytes(data)


def _decode_block(block: memoryview, size: int, name: str) -> bytes:
    try:
        decoded = bytes(lz4.block.decompress(block, uncompressed_size=size))
    except lz4.block.LZ4BlockError:
        decoded = b""
    if len(decoded) != size:
        raise RuntimeError(
            f"{name}, length {len(block)}, does not decode to its {size} bytes"
        )
    return decoded


def _unshuffle(blocks: list[bytes], dtype: np.dtype[Any]) -> list[Pixels]:
    """Turn each block's bit planes into pixels."""
    if bitshuffle is not None:
        shuffled = [np.frombuffer(block, dtype) for block in blocks]
        return [bitshuffle.bitunshuffle(b, block_size=b.size) for b in shuffled]
    pixels = []
    for block in blocks:
        planes = np.frombuffer(block, np.uint8).reshape(8 * dtype.itemsize, -1)
        bits = np.unpackbits(planes, axis=1, bitorder="little")
        values = np.packbits(bits.T, axis=1, bitorder="little")
        pixels.append(np.ascontiguousarray(values).view(dtype).ravel())
    return pixels
