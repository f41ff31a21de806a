"""Writes the groups and fields of a DECTRIS master file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from eigersim.acquisition import Acquisition

_CLASSES = {
    "/entry": "NXentry",
    "/entry/data": "NXdata",
    "/entry/sample": "NXsample",
    "/entry/instrument": "NXinstrument",
    "/entry/instrument/beam": "NXbeam",
    "/entry/instrument/detector": "NXdetector",
    "/entry/instrument/detector/detectorSpecific": "NXcollection",
}


def write_data_groups(file: h5py.File) -> None:
    """Write the groups of a data file."""
    for path in ("/entry", "/entry/data"):
        file.create_group(path).attrs["NX_class"] = np.bytes_(_CLASSES[path])


def write_header(file: h5py.File, a: Acquisition, layout: str) -> None:
    """Write everything of a master but the images.

    Parameters
    ----------
    layout
        ``eiger1`` (flags as integers), ``nxmx`` (fields per channel), or another.
    """
    for path, kind in _CLASSES.items():
        file.create_group(path).attrs["NX_class"] = np.bytes_(kind)
    entry = file["/entry"]
    entry["definition"] = np.bytes_("NXmx")
    beam = entry["instrument/beam"]
    _put(beam, "incident_wavelength", np.float32(a.wavelength), "angstrom")
    detector = entry["instrument/detector"]
    _write_detector(detector, a, layout)
    specific = detector["detectorSpecific"]
    _write_specific(specific, a, layout)
    if layout == "nxmx":
        _write_channels(detector, a)
    else:
        specific["pixel_mask"] = a.pixel_masks[a.channels[0]]
        specific["flatfield"] = np.ones(a.shape, np.float32)
        detector["pixel_mask"] = h5py.SoftLink(f"{specific.name}/pixel_mask")
        _put(
            detector,
            "threshold_energy",
            np.float32(a.threshold_energy[a.channels[0]]),
            "eV",
        )


def link(
    master: h5py.File, files: Sequence[str], layout: str, frames_per_file: int
) -> None:
    """Link the data files, which lie beside the master and exist, to it."""
    group = master["/entry/data"]
    if layout != "nxmx":
        # Some writers leave the leading slash out; both occur.
        path = "entry/data/data" if layout == "eiger1" else "/entry/data/data"
        for number, name in enumerate(files, start=1):
            group[f"data_{number:06d}"] = h5py.ExternalLink(name, path)
        return
    detector = master["/entry/instrument/detector"]
    specific = detector["detectorSpecific"]
    frames = int(specific["nimages"][()]) * int(specific["ntrigger"][()])
    channels = [str(name) for name in specific["channels"].asstr()[:]]
    y, x = (int(specific[f"{axis}_pixels_in_detector"][()]) for axis in "yx")
    dtype = np.dtype(f"<u{int(detector['bit_depth_image'][()]) // 8}")
    virtual = h5py.VirtualLayout((frames, len(channels), y, x), dtype)
    for i, name in enumerate(files):
        start = i * frames_per_file
        n = min(frames_per_file, frames - start)
        virtual[start : start + n] = h5py.VirtualSource(
            name, "/entry/data/data", (n, len(channels), y, x), dtype
        )
    group.create_virtual_dataset("data", virtual)
    group["channel"] = channels
    group["image_id"] = np.arange(1, frames + 1)
    group.attrs["signal"] = "data"
    group.attrs["axes"] = ["image_id", "channel", ".", "."]


def _write_detector(detector: h5py.Group, a: Acquisition, layout: str) -> None:
    fields: dict[str, Any] = {
        "bit_depth_readout": np.uint32(a.bit_depth_readout),
        "countrate_correction_applied": _flag(True, layout),
        "description": np.bytes_(a.detector_description),
        "detector_number": np.bytes_(a.detector_serial_number),
        "flatfield_correction_applied": _flag(True, layout),
        "pixel_mask_applied": _flag(True, layout),
        "sensor_material": np.bytes_(a.sensor_material),
        "virtual_pixel_correction_applied": _flag(True, layout),
    }
    if layout != "eiger1":  # neither is known to firmware 1.6
        fields["bit_depth_image"] = np.uint32(8 * a.dtype.itemsize)
        fields["saturation_value"] = np.uint32(a.saturation_value or 0)
    for name, value in fields.items():
        detector[name] = value
    _put(detector, "beam_center_x", np.float32(a.beam_center[0]), "pixel")
    _put(detector, "beam_center_y", np.float32(a.beam_center[1]), "pixel")
    _put(detector, "count_time", np.float64(a.count_time), "s")
    _put(detector, "detector_distance", np.float32(a.detector_distance), "m")
    _put(detector, "detector_readout_time", np.float64(1e-7), "s")
    _put(detector, "frame_time", np.float64(a.frame_time), "s")
    _put(detector, "sensor_thickness", np.float32(a.sensor_thickness), "m")
    _put(detector, "x_pixel_size", np.float32(a.pixel_size[0]), "m")
    _put(detector, "y_pixel_size", np.float32(a.pixel_size[1]), "m")


def _write_specific(specific: h5py.Group, a: Acquisition, layout: str) -> None:
    y, x = a.shape
    # Firmware 1.6 told no time zone.
    date = a.arm_date.replace(tzinfo=None) if layout == "eiger1" else a.arm_date
    version = "1.6.6" if layout == "eiger1" else "1.8.0"
    fields: dict[str, Any] = {
        "auto_summation": _flag(True, layout),
        "compression": np.bytes_(a.compression),
        "countrate_correction_count_cutoff": np.uint32(a.countrate_cutoff or 0),
        "data_collection_date": np.bytes_(date.isoformat(timespec="milliseconds")),
        "element": np.bytes_(""),
        "frame_count_time": np.float64(a.count_time),
        "frame_period": np.float64(a.frame_time),
        "nframes_sum": np.uint32(1),
        "nimages": np.uint64(a.nimages),
        "ntrigger": np.uint32(a.ntrigger),
        "number_of_excluded_pixels": np.uint32((~_usable(a)).sum()),
        "photon_energy": np.float64(a.photon_energy),
        "software_version": np.bytes_(version),
        "trigger_mode": np.bytes_(a.trigger_mode),
        "x_pixels_in_detector": np.uint32(x),
        "y_pixels_in_detector": np.uint32(y),
    }
    for name, value in fields.items():
        specific[name] = value
    specific["channels"] = list(a.channels)


def _write_channels(detector: h5py.Group, a: Acquisition) -> None:
    for channel in a.channels:
        group = detector.create_group(f"{channel}_channel")
        group.attrs["NX_class"] = np.bytes_("NXdetector_channel")
        _put(group, "threshold_energy", np.float32(a.threshold_energy[channel]), "eV")
        group["pixel_mask"] = a.pixel_masks[channel]
        group["flatfield"] = np.ones(a.shape, np.float32)


def _usable(a: Acquisition) -> npt.NDArray[np.bool_]:
    return np.logical_not(a.pixel_masks[a.channels[0]])


def _flag(value: bool, layout: str) -> Any:
    return np.int32(value) if layout == "eiger1" else np.bool_(value)


def _put(group: h5py.Group, name: str, value: Any, units: str) -> None:
    group[name] = value
    group[name].attrs["units"] = np.bytes_(units)
