"""Packs and unpacks images with the filters of hdf5plugin, in a file in memory.

They are the reference for bslz4 and framed lz4 on every Python; the bitshuffle package
has no wheels for 3.13.
"""

from __future__ import annotations

import io
from typing import Any

import h5py
import hdf5plugin
import numpy as np

BSLZ4 = hdf5plugin.Bitshuffle(cname="lz4")
BSZSTD = hdf5plugin.Bitshuffle(cname="zstd")
LZ4 = hdf5plugin.LZ4()


def pack(values: np.ndarray[Any, Any], filters: Any = BSLZ4) -> bytes:
    """Return one chunk, its 12-byte header included."""
    with h5py.File(io.BytesIO(), "w") as file:
        dataset = file.create_dataset(
            "chunk", data=values, chunks=values.shape, **filters
        )
        _, chunk = dataset.id.read_direct_chunk((0,) * values.ndim)
        return bytes(chunk)


def unpack(
    chunk: bytes, filters: Any, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    """Return the image of one chunk."""
    with h5py.File(io.BytesIO(), "w") as file:
        dataset = file.create_dataset("chunk", shape, dtype, chunks=shape, **filters)
        dataset.id.write_direct_chunk((0,) * len(shape), chunk)
        values: np.ndarray[Any, Any] = dataset[()]
        return values
