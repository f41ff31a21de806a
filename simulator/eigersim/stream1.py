"""Encodes stream v1: multipart messages of JSON and bytes.

Keys and their order follow the SIMPLON API reference 1.8, section 5.4, and recordings
of real detectors.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from eigersim.acquisition import Acquisition, Exposure, HeaderDetail
from eigersim.errors import SimulatorError
from eigersim.images import Encoding


class Encoder:
    """Turns one series into messages, each a list of parts."""

    def __init__(
        self,
        acquisition: Acquisition,
        header_detail: HeaderDetail = HeaderDetail.BASIC,
        image_appendix: str | None = None,
    ) -> None:
        if len(acquisition.channels) != 1:
            raise SimulatorError(
                f"stream v1 carries one channel, not {len(acquisition.channels)}; "
                "use --stream v2 or name one of --channels"
            )
        self._acquisition = acquisition
        self._header_detail = header_detail
        self._image_appendix = image_appendix
        self._series = acquisition.series_id

    def start(self) -> list[bytes]:
        """Return the header's parts."""
        parts = [
            _json(
                header_detail=self._header_detail.value,
                htype="dheader-1.0",
                series=self._series,
            )
        ]
        if self._header_detail is not HeaderDetail.NONE:
            parts.append(_json(**self._config()))
        if self._header_detail is HeaderDetail.ALL:
            y, x = self._acquisition.shape
            masks = self._acquisition.pixel_masks
            mask = masks.get(self._acquisition.channels[0])
            parts += _array("dflatfield-1.0", np.ones((y, x), np.float32))
            parts += _array("dpixelmask-1.0", mask)
            parts += _array("dcountrate_table-1.0", self._acquisition.countrate_table())
        if self._acquisition.user_data is not None:
            parts.append(json.dumps(self._acquisition.user_data).encode())
        return parts

    def image(self, exposure: Exposure) -> list[bytes]:
        """Return the parts of one image message."""
        (image,) = exposure.images.values()
        y, x = image.shape
        bits = 8 * image.dtype.itemsize
        start = self._acquisition.clock_origin_ns + exposure.start_ns
        parts = [
            _json(
                frame=exposure.image_id,
                hash="",
                htype="dimage-1.0",
                series=self._series,
            ),
            _json(
                encoding=_encoding(image.encoding, bits),
                htype="dimage_d-1.0",
                shape=[x, y],
                size=image.size,
                type=image.dtype.name,
            ),
            b"".join(image.pieces),
            _json(
                htype="dconfig-1.0",
                real_time=exposure.real_ns,
                start_time=start,
                stop_time=start + exposure.real_ns,
            ),
        ]
        if self._image_appendix is not None:
            parts.append(self._image_appendix.encode())
        return parts

    def end(self) -> list[bytes]:
        """Return the end's only part."""
        return [_json(htype="dseries_end-1.0", series=self._series)]

    def _config(self) -> dict[str, Any]:
        a = self._acquisition
        axes = ("chi", "kappa", "omega", "phi", "two_theta")
        goniometer = {f"{axis}_{key}": 0.0 for axis in axes for key in _AXIS_KEYS}
        y, x = a.shape
        config = {
            "auto_summation": True,
            "beam_center_x": a.beam_center[0],
            "beam_center_y": a.beam_center[1],
            "bit_depth_image": 8 * a.dtype.itemsize,
            "bit_depth_readout": a.bit_depth_readout,
            "compression": a.compression,
            "count_time": a.count_time,
            "countrate_correction_applied": True,
            "countrate_correction_count_cutoff": a.countrate_cutoff,
            "data_collection_date": a.arm_date.isoformat(timespec="milliseconds"),
            "description": a.detector_description,
            "detector_distance": a.detector_distance,
            "detector_number": a.detector_serial_number,
            "detector_readout_time": 1e-7,
            "detector_translation": [0.0, 0.0, a.detector_distance or 0.0],
            "eiger_fw_version": "eigersim",
            "element": "",
            "flatfield_correction_applied": True,
            "frame_count_time": a.count_time,
            "frame_period": a.frame_time,
            "frame_time": a.frame_time,
            "nimages": a.nimages,
            "ntrigger": a.ntrigger,
            "photon_energy": a.photon_energy,
            "pixel_mask_applied": True,
            "roi_mode": "",
            "sensor_material": a.sensor_material,
            "sensor_thickness": a.sensor_thickness,
            "software_version": "1.8.0",
            "threshold_energy": a.threshold_energy.get(a.channels[0]),
            "trigger_mode": a.trigger_mode,
            "virtual_pixel_correction_applied": True,
            "wavelength": a.wavelength,
            "x_pixel_size": a.pixel_size[0],
            "x_pixels_in_detector": x,
            "y_pixel_size": a.pixel_size[1],
            "y_pixels_in_detector": y,
        }
        told = {k: v for k, v in (config | goniometer).items() if v is not None}
        return dict(sorted(told.items()))


_AXIS_KEYS = ("increment", "start")


def _encoding(encoding: Encoding, bits: int) -> str:
    if encoding in (Encoding.LZ4, Encoding.BSZSTD):
        raise SimulatorError(
            f"stream v1 has no {encoding.value} in HDF5's framing, as these recorded "
            "images are; use --stream v2 for this file"
        )
    return {
        Encoding.BSLZ4: f"bs{bits}-lz4<",
        Encoding.LZ4_BLOCK: "lz4<",
        Encoding.NONE: "<",
    }[encoding]


def _array(htype: str, array: npt.NDArray[Any] | None) -> list[bytes]:
    """Return an array's two parts; real detectors call a missing one undefined."""
    if array is None:
        return [_json(htype=htype, shape=[], type="undefined"), b""]
    # The documents give (y, x) arrays as [x, y]; the table keeps its own order.
    shape = array.shape if "table" in htype else array.shape[::-1]
    return [
        _json(htype=htype, shape=list(shape), type=array.dtype.name),
        array.tobytes(),
    ]


def _json(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
