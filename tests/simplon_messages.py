"""Builds stream messages for tests, independently of the service's decoder."""

from __future__ import annotations

import json
import struct
from typing import Any

import cbor2
import lz4.block
import numpy as np
import through_hdf5

TYPED_ARRAY_TAGS = {"uint8": 64, "uint16": 69, "uint32": 70}
ULID = "01HBV3JPF9T4ZDPADX6EMK6XMZ"

CONFIG: dict[str, Any] = {
    "count_time": 0.00199,
    "frame_time": 0.002,
    "nimages": 10,
    "ntrigger": 1,
    "trigger_mode": "ints",
    "software_version": "1.8.0",
    "x_pixels_in_detector": 8,
    "y_pixels_in_detector": 5,
}


def pixels(
    dtype: str = "uint16", shape: tuple[int, int] = (5, 8), seed: int = 1
) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(seed).poisson(3, shape)
    return values.astype(np.dtype(dtype).newbyteorder("<"))


def bslz4(image: np.ndarray[Any, Any]) -> bytes:
    return through_hdf5.pack(image)


def lz4_block(image: np.ndarray[Any, Any]) -> bytes:
    return lz4.block.compress(image.tobytes(), store_size=False)


def lz4_framed(image: np.ndarray[Any, Any]) -> bytes:
    block = lz4_block(image)
    return struct.pack(">QII", image.nbytes, image.nbytes, len(block)) + block


def part(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def header1(
    series: Any = 1,
    detail: str = "basic",
    config: dict[str, Any] | None = None,
    mask: np.ndarray[Any, Any] | None = None,
    **changes: Any,
) -> list[bytes]:
    """Return a header's parts; `mask` is a uint32 pixel mask for detail ``all``."""
    parts = [part(htype="dheader-1.0", header_detail=detail, series=series)]
    if detail != "none":
        parts.append(part(**(CONFIG if config is None else config) | changes))
    if detail == "all":
        for name, kind in (("flatfield", "float32"), ("pixelmask", "uint32")):
            parts.append(part(htype=f"d{name}-1.0", shape=[8, 5], type=kind))
            parts.append(bytes(160))
            if name == "pixelmask" and mask is not None:
                parts[-2] = part(
                    htype="dpixelmask-1.0", shape=list(mask.shape[::-1]), type=kind
                )
                parts[-1] = mask.tobytes()
        parts.append(part(htype="dcountrate_table-1.0", shape=[2, 3], type="float32"))
        parts.append(bytes(24))
    return parts


def image1(
    series: Any = 1, frame: Any = 0, blob: bytes | None = None, **changes: Any
) -> list[bytes]:
    """Return an image's four parts; `changes` replace keys of any of them."""
    if blob is None:
        blob = bslz4(pixels())
    fields = {
        "encoding": "bs16-lz4<",
        "shape": [8, 5],
        "size": len(blob),
        "type": "uint16",
        "real_time": 1_990_000,
        "start_time": 10**15,
        "stop_time": 10**15 + 1_990_000,
    } | changes
    description = {
        k: fields[k] for k in ("encoding", "shape", "size", "type") if k in fields
    }
    times = {k: fields[k] for k in ("real_time", "start_time", "stop_time")}
    return [
        part(htype="dimage-1.0", series=series, frame=frame, hash=""),
        part(htype="dimage_d-1.0", **description),
        blob,
        part(htype="dconfig-1.0", **times),
    ]


def end1(series: Any = 1) -> list[bytes]:
    return [part(htype="dseries_end-1.0", series=series)]


def array2(
    image: np.ndarray[Any, Any],
    compression: str | None = "bslz4",
    *,
    tag: int | None = None,
    element: int | None = None,
    dimensions: Any = None,
    data: bytes | None = None,
) -> cbor2.CBORTag:
    tag = TYPED_ARRAY_TAGS[image.dtype.name] if tag is None else tag
    content: Any
    if compression is None:
        content = image.tobytes() if data is None else data
    else:
        if data is None:
            data = bslz4(image) if compression == "bslz4" else lz4_framed(image)
        if element is None:
            element = image.itemsize if compression == "bslz4" else 0
        content = cbor2.CBORTag(56500, [compression, element, data])
    dimensions = list(image.shape) if dimensions is None else dimensions
    return cbor2.CBORTag(40, [dimensions, cbor2.CBORTag(tag, content)])


def start2(series: int = 7, **changes: Any) -> dict[str, Any]:
    return {
        "type": "start",
        "series_id": series,
        "series_unique_id": ULID,
        "channels": ["threshold_1"],
        "count_time": 0.00199,
        "frame_time": 0.002,
        "image_size_x": 8,
        "image_size_y": 5,
        "number_of_images": 10,
        "detector_description": "Dectris EIGER2 Si 500K",
        "detector_serial_number": "E-01-0001",
        "saturation_value": 50000,
    } | changes


def image2(series: int = 7, image: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "type": "image",
        "series_id": series,
        "series_unique_id": ULID,
        "image_id": image,
        "real_time": [99_500, 50_000_000],
        "start_time": [100_000 * image, 50_000_000],
        "stop_time": [100_000 * image + 99_500, 50_000_000],
        "data": {"threshold_1": array2(pixels())},
    } | changes


def end2(series: int = 7) -> dict[str, Any]:
    return {"type": "end", "series_id": series, "series_unique_id": ULID}


def pack2(message: Any, *, self_described: bool = False) -> list[bytes]:
    data = cbor2.dumps(message)
    return [b"\xd9\xd9\xf7" + data if self_described else data]
