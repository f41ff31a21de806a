"""Builds small recordings as detectors and other programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

BSLZ4 = hdf5plugin.Bitshuffle(cname="lz4")
SHAPE = (40, 53)
"""2120 pixels: with every element size a raw tail, in uint32 two blocks."""


def images(
    n: int, dtype: str = "uint16", shape: tuple[int, ...] = SHAPE, seed: int = 1
) -> np.ndarray[Any, Any]:
    """Return frames with counts, sentinels and values above 100."""
    rng = np.random.default_rng(seed)
    values = rng.poisson(3, (n, *shape)).astype(dtype)
    values[..., 0, :5] = np.iinfo(dtype).max
    values[..., 1, 3] = 120
    return values


def write_data(
    path: Path,
    values: np.ndarray[Any, Any],
    *,
    low: int | None = None,
    name: str = "entry/data/data",
    userblock: int = 0,
    **options: Any,
) -> None:
    """Write one data file; by default bslz4, one image per chunk."""
    if not options:
        options = {"chunks": (1, *values.shape[1:]), **BSLZ4}
    with h5py.File(path, "w", userblock_size=userblock) as file:
        dataset = file.create_dataset(name, data=values, **options)
        if low is not None:
            dataset.attrs["image_nr_low"] = np.uint32(low)
            dataset.attrs["image_nr_high"] = np.uint32(low + len(values) - 1)


def write_master(path: Path, **facts: Any) -> None:
    """Write a master without images."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry.create_group("data")
        special = ("nimages", "ntrigger", "countrate_correction_count_cutoff")
        for key, value in facts.items():
            folder = "instrument/detector/"
            folder += "detectorSpecific/" if key in special else ""
            entry[folder + key] = value


def write_series(
    folder: Path,
    values: np.ndarray[Any, Any],
    per_file: int = 5,
    *,
    attributes: bool = True,
    slash: bool = True,
    **facts: Any,
) -> Path:
    """Write a master and its data files and return the master."""
    master = folder / "x_master.h5"
    write_master(master, **facts)
    target = "/entry/data/data" if slash else "entry/data/data"
    with h5py.File(master, "a") as file:
        for number, first in enumerate(range(0, len(values), per_file), 1):
            name = f"x_data_{number:06d}.h5"
            low = first + 1 if attributes else None
            write_data(folder / name, values[first : first + per_file], low=low)
            link = h5py.ExternalLink(name, target)
            file["entry/data"][f"data_{number:06d}"] = link
    return master


def write_inside(folder: Path, values: np.ndarray[Any, Any], **options: Any) -> Path:
    """Write a master that holds its images itself and return it."""
    master = folder / "x_master.h5"
    if not options:
        options = {"chunks": (1, *values.shape[1:]), **BSLZ4}
    write_master(master, frame_time=0.001)
    with h5py.File(master, "a") as file:
        file["entry/data"].create_dataset("data", data=values, **options)
    return master
