"""The compressions of stream and file, block-wise so that pieces can be joined.

Each `pack_*` function returns blocks without the 12-byte header: frames are put
together from pieces, and only the whole frame has a header.
"""

from __future__ import annotations

import importlib
import io
import struct
from collections.abc import Sequence
from typing import Any, Literal

import h5py
import hdf5plugin
import lz4.block
import numpy as np
import numpy.typing as npt

BLOCK_BYTES = 8192
"""Block size of bitshuffle, before compression, as every DECTRIS detector uses it."""

FRAME_HEADER = struct.Struct(">QI")
"""Bytes of the image and of one block, in front of all but bare blocks."""

_LENGTH = struct.Struct(">I")

try:
    _bitshuffle: Any = importlib.import_module("bitshuffle")
except ImportError:  # there is no wheel for Python 3.13 and later
    _bitshuffle = None


def pack_bslz4(
    pieces: Sequence[npt.NDArray[Any]], *, through_hdf5: bool = _bitshuffle is None
) -> list[bytes]:
    """Compress equally long arrays of pixels with bitshuffle and LZ4.

    Parameters
    ----------
    pieces
        Flat arrays of one length and dtype. Where the length is no multiple of 8
        the last elements are appended raw.
    through_hdf5
        Let HDF5's filter do it instead of the bitshuffle package.
    """
    if not pieces:
        return []
    if through_hdf5:
        return _pack_through_hdf5(pieces, "lz4")
    block = BLOCK_BYTES // pieces[0].itemsize
    return [_bitshuffle.compress_lz4(piece, block).tobytes() for piece in pieces]


def pack_bszstd(pieces: Sequence[npt.NDArray[Any]]) -> list[bytes]:
    """Compress equally long arrays of pixels with bitshuffle and Zstandard.

    As `pack_bslz4`; HDF5's filter does it.
    """
    return _pack_through_hdf5(pieces, "zstd") if pieces else []


def _pack_through_hdf5(
    pieces: Sequence[npt.NDArray[Any]], compression: Literal["lz4", "zstd"]
) -> list[bytes]:
    n = pieces[0].size
    block = BLOCK_BYTES // pieces[0].itemsize
    # Not the driver "core": HDF5 takes two of its files with one name for one file.
    with h5py.File(io.BytesIO(), "w") as file:
        dataset = file.create_dataset(
            "pieces",
            shape=(len(pieces), n),
            dtype=pieces[0].dtype,
            chunks=(1, n),
            **hdf5plugin.Bitshuffle(nelems=block, cname=compression),
        )
        packed = []
        for i, piece in enumerate(pieces):
            dataset[i] = piece
            _, chunk = dataset.id.read_direct_chunk((i, 0))
            packed.append(bytes(chunk[FRAME_HEADER.size :]))
        return packed


def pack_lz4(piece: npt.NDArray[Any]) -> bytes:
    """Compress one array as one block of the framed LZ4 format."""
    raw = piece.tobytes()
    packed = lz4.block.compress(raw, store_size=False)
    # The format has no flag: a block as long as its data is stored, not compressed.
    if len(packed) >= len(raw):
        packed = raw
    return _LENGTH.pack(len(packed)) + bytes(packed)


def pack_lz4_block(raw: bytes) -> bytes:
    """Compress a whole image as one raw LZ4 block, as stream v1's ``lz4<``."""
    return bytes(lz4.block.compress(raw, store_size=False))


def whole_bslz4(image: npt.NDArray[Any]) -> bytes:
    """Compress one array with bitshuffle and LZ4, header included."""
    flat = np.ascontiguousarray(image).reshape(-1)
    return FRAME_HEADER.pack(flat.nbytes, BLOCK_BYTES) + pack_bslz4([flat])[0]


def whole_bszstd(image: npt.NDArray[Any]) -> bytes:
    """Compress one array with bitshuffle and Zstandard, header included."""
    flat = np.ascontiguousarray(image).reshape(-1)
    return FRAME_HEADER.pack(flat.nbytes, BLOCK_BYTES) + pack_bszstd([flat])[0]


def whole_lz4(image: npt.NDArray[Any]) -> bytes:
    """Compress one array with framed LZ4 in a single block, header included."""
    flat = np.ascontiguousarray(image).reshape(-1)
    return FRAME_HEADER.pack(flat.nbytes, flat.nbytes) + pack_lz4(flat)
