"""Bitshuffle + Zstandard: the bit planes out of the compressed blocks.

HDF5 files of newer software hold it under bitshuffle's filter id, told from LZ4 by a
filter parameter. The framing is bslz4's: a 12-byte header (u64 size, u32 block size,
big-endian), then per block a u32 length and a Zstandard frame, then the last n mod 8
elements raw.
"""

from __future__ import annotations

import math
import re
import struct

import zstandard

from eigerwatch.errors import KernelError
from eigerwatch.model import Buffer

_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")
_MAX_BLOCK_BYTES = 2**20
_ITEM = re.compile(r"item (\d+)")
"""Which block the library complains about."""


def planes_of(payload: Buffer, itemsize: int, pixels: int) -> bytes:
    """Return the image as blocks of bit planes that are not compressed.

    Parameters
    ----------
    payload
        The image's bytes as they travel.
    itemsize
        Bytes per pixel.
    pixels
        Number of pixels of the image; bounds what is decompressed.

    Returns
    -------
    bytes
        The kernel's encoding ``planes``: header, blocks, raw tail.

    Raises
    ------
    KernelError
        The payload is corrupt or does not fill the image.
    """
    data = memoryview(payload).cast("B")
    size, blocked = pixels * itemsize, pixels // 8 * 8 * itemsize
    block_bytes = _block_bytes(data, size, itemsize)
    lengths = _lengths(data, math.ceil(blocked / block_bytes))
    if not lengths:
        return bytes(data)
    tail = _HEADER.size + sum(lengths) + _LENGTH.size * len(lengths)
    sizes = [block_bytes] * (len(lengths) - 1)
    sizes.append(blocked - block_bytes * len(sizes))
    blocks = _decompress(data, lengths, sizes)
    return b"".join([data[: _HEADER.size], *blocks, data[tail:]])


def _block_bytes(data: memoryview, size: int, itemsize: int) -> int:
    if len(data) < _HEADER.size:
        raise KernelError(
            f"payload of {len(data)} bytes is shorter than its header of {_HEADER.size}"
        )
    declared, block_bytes = _HEADER.unpack_from(data)
    if declared != size:
        raise KernelError(f"header declares {declared} bytes, the image has {size}")
    if not 0 < block_bytes <= _MAX_BLOCK_BYTES or block_bytes % (8 * itemsize):
        raise KernelError(
            f"header declares an illegal block size of {block_bytes} bytes"
        )
    return int(block_bytes)


def _lengths(data: memoryview, n_blocks: int) -> list[int]:
    """Return the compressed lengths of the blocks."""
    lengths: list[int] = []
    position = _HEADER.size
    for block in range(n_blocks):
        if len(data) - position < _LENGTH.size:
            raise KernelError(
                f"payload ends before the length of block {block} of {n_blocks}"
            )
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        if length > len(data) - position:
            raise KernelError(
                f"block {block} of {n_blocks} has a length of {length} bytes, "
                f"the payload has {len(data) - position} left"
            )
        position += length
        lengths.append(length)
    return lengths


def _decompress(data: memoryview, lengths: list[int], sizes: list[int]) -> list[bytes]:
    """Decompress all blocks in one call, each to exactly its size."""
    places: list[int] = []
    position = _HEADER.size
    for length in lengths:
        position += _LENGTH.size
        places += [position, length]
        position += length
    segments = zstandard.BufferWithSegments(
        data, struct.pack(f"={len(places)}Q", *places)
    )
    try:
        blocks = zstandard.ZstdDecompressor().multi_decompress_to_buffer(
            segments,
            decompressed_sizes=struct.pack(f"={len(sizes)}Q", *sizes),
            threads=0,
        )
    except zstandard.ZstdError as exc:
        raise _corrupt(str(exc), lengths, sizes) from exc
    return [blocks[i].tobytes() for i in range(len(sizes))]


def _corrupt(complaint: str, lengths: list[int], sizes: list[int]) -> KernelError:
    """Return the library's complaint in the kernel's words."""
    item = _ITEM.search(complaint)
    block = int(item[1]) if item else 0
    return KernelError(
        f"block {block} of {len(sizes)}, length {lengths[block]}, does not decode to "
        f"its {sizes[block]} bytes"
    )
