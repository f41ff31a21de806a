"""The kernel's function in plain numpy: oracle of the tests, fallback of the service.

Slow and obvious. Every length is checked before it is used and LZ4 blocks are decoded
one by one with a bounded decoder, so that hostile data raises, as in the kernel.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import lz4.block
import numpy as np
import numpy.typing as npt

from eigerwatch.model import COUNTS_BYTES, FRAME_RECORD, REGION_ROW, Buffer, sentinel_of

try:
    import bitshuffle
except ImportError:  # no wheels for Python 3.13
    bitshuffle = None

NONE, LZ4_BLOCK, LZ4, BSLZ4 = range(4)

MAX_PIXELS = 2**31
MAX_REGIONS = 1024
MAX_BLOCK_BYTES = 2**20
DEFAULT_BLOCK_BYTES = 8192
HEADER = struct.Struct(">QI")
LENGTH = struct.Struct(">I")

Pixels = npt.NDArray[np.unsignedinteger[Any]]


def reduce(
    payload: Buffer,
    encoding: int,
    itemsize: int,
    pixels: int,
    low: int,
    high: int,
    mask: Buffer | None,
    regions: Buffer | None,
    counts: Buffer,
    region_rows: Buffer | None,
    scratch: Buffer | None,
    extents: Buffer | None = None,
) -> None:
    """Classify, count and sum the pixels of one compressed image.

    Parameters
    ----------
    payload
        The image's bytes as they travel.
    encoding
        0 none, 1 one raw LZ4 block, 2 framed LZ4, 3 bitshuffle + LZ4.
    itemsize
        Bytes per pixel: 1, 2 or 4.
    pixels
        Number of pixels of the image.
    low, high
        Limits of the kept values [counts], both inclusive.
    mask
        Bit set = pixel is used, in pixel order, lowest bit first.
    regions
        One such bitmap per region, one after the other.
    counts
        Receives the first 32 bytes of a `model.FRAME_RECORD`.
    region_rows
        Receives one `model.REGION_ROW` per region.
    scratch, extents
        Not used here; the kernel needs them.

    Raises
    ------
    ValueError
        An argument is wrong.
    RuntimeError
        The payload is corrupt or does not fill the image.
    """
    _check_image(encoding, itemsize, pixels)
    if not 0 <= low <= high <= 2**32 - 1:
        raise ValueError(
            f"low and high must be 0 <= low <= high <= 4294967295, not {low} and {high}"
        )
    used = np.ones(pixels, dtype=bool)
    if mask is not None:
        used = _bitmaps("mask", mask, pixels, 1)[0]
    members = np.empty((0, pixels), dtype=bool)
    if regions is not None:
        n_regions, rest = divmod(memoryview(regions).nbytes, math.ceil(pixels / 8))
        if rest or n_regions > MAX_REGIONS:
            raise ValueError(f"regions must be bitmaps of {pixels} pixels")
        members = _bitmaps("regions", regions, pixels, n_regions)
    record = _writable("counts", counts, COUNTS_BYTES)
    rows = _writable("region_rows", region_rows, len(members) * REGION_ROW.itemsize)

    values = pixels_of(payload, encoding, itemsize, pixels)
    sentinel = used & (values == sentinel_of(values.dtype))
    valid = used & ~sentinel
    below = valid & (values < low)
    above = valid & (values > high)
    kept = valid & ~below & ~above

    row = np.zeros(len(members), dtype=REGION_ROW)
    for n, member in enumerate(members):
        row[n]["total"] = values[member & kept].sum(dtype=np.uint64)
        row[n]["kept"] = (member & kept).sum()
        row[n]["sentinel"] = (member & sentinel).sum()
    result = np.zeros(1, dtype=FRAME_RECORD)
    result["total"] = values[kept].sum(dtype=np.uint64)
    result["kept"] = kept.sum()
    result["below"] = below.sum()
    result["above"] = above.sum()
    result["sentinel"] = sentinel.sum()
    result["masked"] = (~used).sum()
    result["max_kept"] = values[kept].max(initial=0)
    record[:] = result.tobytes()[:COUNTS_BYTES]
    rows[:] = row.tobytes()


def scratch_bytes(payload: Buffer, encoding: int, itemsize: int, pixels: int) -> int:
    """Return 0: this implementation brings its own memory."""
    _check_image(encoding, itemsize, pixels)
    return 0


def region_extents(regions: Buffer, pixels: int) -> bytes:
    """Return (first, stop) as uint32 for each bitmap: its bytes that are not all 0."""
    size = math.ceil(pixels / 8)
    if pixels <= 0 or memoryview(regions).nbytes % size:
        raise ValueError(f"regions must be bitmaps of {pixels} pixels")
    extents = []
    for bitmap in np.frombuffer(regions, np.uint8).reshape(-1, size):
        used = np.flatnonzero(bitmap)
        extents += [used[0], used[-1] + 1] if used.size else [size, size]
    return np.array(extents, "<u4").tobytes()


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
    unit = 8 * itemsize
    for start in _headerless_starts(data, size):
        try:
            lengths = _lengths(data[start:], blocked, DEFAULT_BLOCK_BYTES)
        except RuntimeError:
            continue
        if start + sum(lengths) + 4 * len(lengths) + size - blocked == len(data):
            block_bytes = DEFAULT_BLOCK_BYTES
            break
    else:
        start, block_bytes = _header(data, size)
        if block_bytes % unit or block_bytes > MAX_BLOCK_BYTES:
            raise RuntimeError(
                f"header declares an illegal block size of {block_bytes} bytes"
            )
    blocks, tail = _blocks(data[start:], blocked, block_bytes, tail=size - blocked)
    parts = [*_unshuffle(blocks, dtype), np.frombuffer(tail, dtype)]
    return np.concatenate(parts)


def _check_image(encoding: int, itemsize: int, pixels: int) -> None:
    if encoding not in (NONE, LZ4_BLOCK, LZ4, BSLZ4):
        raise ValueError(f"encoding must be 0 to 3, not {encoding}")
    if itemsize not in (1, 2, 4):
        raise ValueError(f"itemsize must be 1, 2 or 4, not {itemsize}")
    if not 0 < pixels <= MAX_PIXELS:
        raise ValueError(f"pixels must be 1 to {MAX_PIXELS}, not {pixels}")


def _bitmaps(name: str, buffer: Buffer, pixels: int, n: int) -> npt.NDArray[np.bool_]:
    size = math.ceil(pixels / 8)
    data = np.frombuffer(buffer, np.uint8)
    if data.size != n * size:
        raise ValueError(f"{name} must have {n * size} bytes, not {data.size}")
    bits = np.unpackbits(data.reshape(n, size), axis=1, count=pixels, bitorder="little")
    return bits.astype(bool)


def _writable(name: str, buffer: Buffer | None, size: int) -> memoryview:
    view = memoryview(bytearray() if buffer is None else buffer).cast("B")
    if view.nbytes != size or view.readonly:
        raise ValueError(f"{name} must have {size} writable bytes, not {view.nbytes}")
    return view


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
    left = len(data) - position
    if left < tail:
        raise RuntimeError(
            f"payload ends inside the raw tail after block {len(lengths)}: "
            f"{left} of {tail} bytes"
        )
    if left > tail:
        raise RuntimeError(
            f"{left - tail} trailing bytes after block {len(lengths)}, the last"
        )
    return blocks, bytes(data[position:])


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
