"""Encodes stream v2: one CBOR map per message.

Fields follow DECTRIS' description of stream v2. The payload is never handed to cbor2:
a message is put together from encoded items and the image's pieces, and copied once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import cbor2
import numpy as np
import numpy.typing as npt

from eigersim import compress
from eigersim.acquisition import TICKS_HZ, Acquisition, Exposure, HeaderDetail
from eigersim.errors import SimulatorError
from eigersim.images import Encoding, ImageData

_SELF_DESCRIBED = b"\xd9\xd9\xf7"
_ARRAY, _MAP, _TAG, _BYTES = 4, 5, 6, 2
_TAG_MULTI_DIM = 40
_TAG_COMPRESSED = 56500
_TAG_OF_DTYPE = {"uint8": 64, "uint16": 69, "uint32": 70, "float32": 85}


class Encoder:
    """Turns one series into messages, each a list of one part."""

    def __init__(
        self,
        acquisition: Acquisition,
        header_detail: HeaderDetail = HeaderDetail.BASIC,
        image_appendix: str | None = None,
    ) -> None:
        self._acquisition = acquisition
        self._header_detail = header_detail
        self._series = [
            _item("series_id", acquisition.series_id),
            _item("series_unique_id", acquisition.series_unique_id),
        ]
        # arm and trigger follow each other at once here
        series_date = _item("series_date", acquisition.arm_date)
        appendix = (
            [] if image_appendix is None else [_item("user_data", image_appendix)]
        )
        self._image_constants = [*self._series, series_date, *appendix]

    def start(self) -> list[bytes]:
        """Return the start message."""
        a = self._acquisition
        y, x = a.shape
        fields: dict[str, Any] = {
            "arm_date": a.arm_date,
            "beam_center_x": a.beam_center[0],
            "beam_center_y": a.beam_center[1],
            "channels": list(a.channels),
            "count_time": a.count_time,
            "countrate_correction_enabled": True,
            "detector_description": a.detector_description,
            "detector_serial_number": a.detector_serial_number,
            "detector_translation": [0.0, 0.0, a.detector_distance or 0.0],
            "flatfield_enabled": True,
            "frame_time": a.frame_time,
            "goniometer": {
                axis: {"increment": 0.0, "start": 0.0}
                for axis in ("chi", "kappa", "omega", "phi", "two_theta")
            },
            "image_dtype": a.dtype.name,
            "image_size_x": x,
            "image_size_y": y,
            "incident_energy": a.photon_energy,
            "incident_wavelength": a.wavelength,
            "number_of_images": a.number_of_images,
            "pixel_mask_enabled": True,
            "pixel_size_x": a.pixel_size[0],
            "pixel_size_y": a.pixel_size[1],
            "saturation_value": a.saturation_value,
            "sensor_material": a.sensor_material,
            "sensor_thickness": a.sensor_thickness,
            "threshold_energy": a.threshold_energy,
            "virtual_pixel_interpolation_enabled": True,
        }
        if a.countrate_cutoff != a.saturation_value:
            # Not DECTRIS', but a recording's upper limit may be this one.
            fields["countrate_correction_count_cutoff"] = a.countrate_cutoff
        if a.user_data is not None:
            fields["user_data"] = a.user_data
        told = [_item(key, value) for key, value in fields.items() if value is not None]
        items = [*self._series, *told]
        if self._header_detail is HeaderDetail.ALL:
            items += self._arrays()
        return [_message("start", items)]

    def image(self, exposure: Exposure) -> list[bytes]:
        """Return one image message."""
        start = round(exposure.start_ns * TICKS_HZ / 1e9)
        real = round(exposure.real_ns * TICKS_HZ / 1e9)
        items = [
            *self._image_constants,
            _item("image_id", exposure.image_id),
            _item("real_time", [real, TICKS_HZ]),
            _item("start_time", [start, TICKS_HZ]),
            _item("stop_time", [start + real, TICKS_HZ]),
        ]
        images = [cbor2.dumps("data"), _head(_MAP, len(exposure.images))]
        for channel, image in exposure.images.items():
            images.append(cbor2.dumps(channel))
            images += _image(image)
        return [_message("image", items, images)]

    def end(self) -> list[bytes]:
        """Return the end message."""
        return [_message("end", self._series)]

    def _arrays(self) -> list[bytes]:
        """Return the items that only ``header_detail`` all sends."""
        a = self._acquisition
        flatfield = np.ones(a.shape, np.float32)
        arrays: dict[str, Mapping[str, npt.NDArray[Any]]] = {
            "flatfield": dict.fromkeys(a.channels, flatfield)
        }
        if a.pixel_masks:
            arrays["pixel_mask"] = a.pixel_masks
        table = a.countrate_table()[1]
        items = [
            cbor2.dumps("countrate_correction_lookup_table")
            + cbor2.dumps(cbor2.CBORTag(_TAG_OF_DTYPE["float32"], table.tobytes()))
        ]
        for key, by_channel in arrays.items():
            # Channels mostly share one array.
            packed = {
                id(array): b"".join(_image(_array(array, a.compression)))
                for array in {id(x): x for x in by_channel.values()}.values()
            }
            pairs = [
                cbor2.dumps(channel) + packed[id(array)]
                for channel, array in by_channel.items()
            ]
            items.append(cbor2.dumps(key) + _head(_MAP, len(pairs)) + b"".join(pairs))
        return items


def _item(key: str, value: Any) -> bytes:
    """Return one pair of a map."""
    return cbor2.dumps(key) + cbor2.dumps(value)


def _message(
    kind: str, items: list[bytes], last: Iterable[bytes] | None = None
) -> bytes:
    """Return a message of `items` and, if given, one more made of the parts `last`."""
    n = 1 + len(items) + (last is not None)
    return b"".join(
        [_SELF_DESCRIBED, _head(_MAP, n), _item("type", kind), *items, *(last or ())]
    )


def _image(image: ImageData) -> list[bytes]:
    """Return a multi-dimensional typed array, in parts that are joined later."""
    head = (
        _head(_TAG, _TAG_MULTI_DIM)
        + _head(_ARRAY, 2)
        + cbor2.dumps(list(image.shape))
        + _head(_TAG, _TAG_OF_DTYPE[image.dtype.name])
    )
    if image.encoding is Encoding.LZ4_BLOCK:
        raise SimulatorError("stream v2 has no bare LZ4 blocks; use --encoding bslz4")
    if image.encoding is not Encoding.NONE:
        element = 0 if image.encoding is Encoding.LZ4 else image.dtype.itemsize
        head += (
            _head(_TAG, _TAG_COMPRESSED)
            + _head(_ARRAY, 3)
            + cbor2.dumps(image.encoding.value)
            + cbor2.dumps(element)
        )
    return [head + _head(_BYTES, image.size), *image.pieces]


def _array(array: npt.NDArray[Any], compression: str) -> ImageData:
    """Pack an array of the header as the images are packed."""
    pack = {
        "bslz4": compress.whole_bslz4,
        "bszstd": compress.whole_bszstd,
        "lz4": compress.whole_lz4,
    }.get(compression)
    y, x = array.shape
    return ImageData(
        encoding=Encoding.NONE if pack is None else Encoding(compression),
        dtype=array.dtype,
        shape=(y, x),
        pieces=[array.tobytes() if pack is None else pack(array)],
    )


def _head(major: int, value: int) -> bytes:
    """Return the head of a CBOR item (RFC 8949, section 3)."""
    kind = major << 5
    if value < 24:
        return bytes([kind | value])
    for more, form in ((24, ">BB"), (25, ">BH"), (26, ">BI")):
        if value < 1 << 8 * (struct.calcsize(form) - 1):
            return struct.pack(form, kind | more, value)
    return struct.pack(">BQ", kind | 27, value)
