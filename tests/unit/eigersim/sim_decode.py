"""Decodes what the simulator sends, with libraries it does not use for it."""

from __future__ import annotations

import struct
from typing import Any

import cbor2
import lz4.block
import numpy as np
import numpy.typing as npt
import through_hdf5

from eigersim.detector import Detector

SMALL = Detector(
    name="small",
    description="Dectris EIGER2 Si small",
    serial="E-00-9999",
    module_shape=(70, 90),
    gaps=(5, 3),
    grid=(2, 2),
)
"""145 x 183 pixels: an odd number, so that bslz4 has a raw tail."""


def unpack(
    payload: bytes, encoding: str, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    """Return the image of one payload; encodings named as by stream v2."""
    pixels = int(np.prod(shape))
    if encoding == "none":
        return np.frombuffer(payload, dtype).reshape(shape)
    if encoding == "lz4-block":
        raw = lz4.block.decompress(payload, uncompressed_size=pixels * dtype.itemsize)
        return np.frombuffer(raw, dtype).reshape(shape)
    size, block = struct.unpack_from(">QI", payload)
    assert size == pixels * dtype.itemsize
    if encoding.startswith("bs"):
        assert block == 8192
        filters = {"bslz4": through_hdf5.BSLZ4, "bszstd": through_hdf5.BSZSTD}
        return through_hdf5.unpack(payload, filters[encoding], dtype, shape)
    assert encoding == "lz4"
    return through_hdf5.unpack(payload, through_hdf5.LZ4, dtype, shape)


def total_of(image: npt.NDArray[Any]) -> int:
    """Return the sum of all pixels with data."""
    valid = image[image != np.iinfo(image.dtype).max]
    return int(valid.sum(dtype=np.uint64))


def image_of(tagged: Any) -> npt.NDArray[Any]:
    """Return the array of a tag 40 item of stream v2."""
    assert tagged.tag == 40
    shape, typed = tagged.value
    dtype = np.dtype({64: "u1", 69: "<u2", 70: "<u4", 85: "<f4"}[typed.tag])
    if isinstance(typed.value, bytes):
        return np.frombuffer(typed.value, dtype).reshape(tuple(shape))
    assert typed.value.tag == 56500
    algorithm, element, payload = typed.value.value
    assert element == (dtype.itemsize if algorithm != "lz4" else 0)
    return unpack(payload, algorithm, dtype, tuple(shape))


def message_of(parts: list[bytes]) -> dict[str, Any]:
    """Return the map of a stream v2 message."""
    (part,) = parts
    self_described = b"\xd9\xd9\xf7"
    assert part.startswith(self_described)
    # without the tag, since cbor2 makes everything below a tag immutable
    message = cbor2.loads(part.removeprefix(self_described))
    assert next(iter(message)) == "type"
    return message
