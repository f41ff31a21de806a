"""Makes recorded datasets as DECTRIS' file writer leaves them, with their truth."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from eigersim import masterfile
from eigersim.detector import sentinel_of
from eigersim.errors import SimulatorError
from eigersim.images import Encoding
from eigersim.source import Series, SyntheticSource

MASTER_SUFFIX = "_master.h5"


class Layout(StrEnum):
    """Kinds of datasets found in the field."""

    EIGER1 = "eiger1"
    """Firmware 1.6: flags as 0 and 1, links without a leading slash."""
    EIGER2 = "eiger2"
    """Firmware 1.8: external links to data files."""
    NXMX = "nxmx"
    """File writer 2: one virtual dataset (image, channel, y, x)."""
    INSIDE = "inside"
    """Everything in the master."""


@dataclass(frozen=True)
class DatasetPlan:
    """What to write besides the images themselves."""

    master: Path
    """``…_master.h5``; data files and truth are put beside it."""
    layout: Layout = Layout.EIGER2
    frames_per_file: int = 1000
    left_out_files: frozenset[int] = field(default_factory=frozenset)
    """Numbers, from 1, of data files that the master names but that do not exist."""
    left_out_frames: frozenset[int] = field(default_factory=frozenset)
    """image_id of frames whose chunk is never written."""
    low: int = 0
    """Filter of the truth, inclusive [counts]."""
    high: int | None = None
    """None: the detector's own limit."""

    @property
    def stem(self) -> Path:
        """The master's path without its suffix."""
        return self.master.with_name(self.master.name.removesuffix(MASTER_SUFFIX))

    def data_file(self, number: int) -> Path:
        """Return the path of the data file `number`, from 1."""
        return self.stem.with_name(f"{self.stem.name}_data_{number:06d}.h5")

    @property
    def truth_file(self) -> Path:
        """Where the truth goes."""
        return self.master.with_suffix(".truth.npz")


TRUTH_FIELDS = ("total", "kept", "below", "above", "sentinel", "max_kept")


def make_dataset(plan: DatasetPlan, source: SyntheticSource) -> None:
    """Write the master, its data files and the truth.

    The truth is counted from the pixels that HDF5 reads back from the finished files,
    not from the sums of the pieces they were put together from; the two are compared.

    Raises
    ------
    SimulatorError
        The plan asks for what cannot be, or the files cannot be written.
    """
    _check(plan, source)
    series = source.series(1)
    try:
        plan.master.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            master = stack.enter_context(h5py.File(plan.master, "w"))
            masterfile.write_header(master, series.acquisition, plan.layout.value)
            truth = _write_images(plan, source, series, master)
        np.savez_compressed(plan.truth_file, allow_pickle=False, **truth)
    except OSError as exc:
        raise SimulatorError(
            f"cannot write {plan.master}: {exc}; choose another place or make room"
        ) from exc
    for number in plan.left_out_files:
        plan.data_file(number).unlink()


def _check(plan: DatasetPlan, source: SyntheticSource) -> None:
    if not plan.master.name.endswith(MASTER_SUFFIX):
        raise SimulatorError(
            f"{plan.master} must end in {MASTER_SUFFIX}, as masters do"
        )
    if len(source.channels) > 1 and plan.layout is not Layout.NXMX:
        raise SimulatorError(
            f"--layout {plan.layout} has one channel; use --layout nxmx for several"
        )
    files = -(-source.frames // plan.frames_per_file)
    inside = plan.layout is Layout.INSIDE
    if plan.left_out_files and (inside or not plan.left_out_files <= _numbers(files)):
        raise SimulatorError(
            "--leave-out-file: there is no such data file, "
            + ("all is inside the master" if inside else f"they go from 1 to {files}")
        )
    if any(not 0 <= i < source.frames for i in plan.left_out_frames):
        raise SimulatorError(
            f"--leave-out-frame: frames go from 0 to {source.frames - 1}"
        )


def _numbers(n: int) -> frozenset[int]:
    return frozenset(range(1, n + 1))


def _write_images(
    plan: DatasetPlan, source: SyntheticSource, series: Series, master: h5py.File
) -> dict[str, npt.NDArray[Any]]:
    """Write all images, link them to the master and return the truth."""
    frames, channels = source.frames, source.channels
    high = _high(plan, series)
    truth = {
        name: np.zeros((frames, len(channels)), np.uint64) for name in TRUTH_FIELDS
    }
    written = np.zeros(frames, bool)
    exposures = series.exposures
    starts = range(0, frames, plan.frames_per_file)
    for number, start in enumerate(starts, start=1):
        n = min(plan.frames_per_file, frames - start)
        with contextlib.ExitStack() as stack:
            if plan.layout is Layout.INSIDE:
                file, path = master, f"/entry/data/data_{number:06d}"
            else:
                file = stack.enter_context(h5py.File(plan.data_file(number), "w"))
                masterfile.write_data_groups(file)
                path = "/entry/data/data"
            dataset = _create(file, path, n, source, plan.layout)
            dataset.attrs["image_nr_low"] = np.uint32(start + 1)
            dataset.attrs["image_nr_high"] = np.uint32(start + n)
            for i in range(n):
                exposure = next(exposures)
                if start + i in plan.left_out_frames:
                    continue
                for c, image in enumerate(exposure.images.values()):
                    place = (i, c, 0, 0) if dataset.ndim == 4 else (i, 0, 0)
                    dataset.id.write_direct_chunk(place, b"".join(image.pieces))
                written[start + i] = number not in plan.left_out_files
            file.flush()
            _count(dataset, start, plan, high, truth)
        _compare(truth, series, start, n, plan)
    if plan.layout is not Layout.INSIDE:
        names = [plan.data_file(i + 1).name for i in range(len(starts))]
        masterfile.link(master, names, plan.layout.value, plan.frames_per_file)
    for values in truth.values():
        values[~written] = 0
    single = {name: v[:, 0] if len(channels) == 1 else v for name, v in truth.items()}
    return {
        **single,
        "written": written,
        "low": np.array(plan.low),
        "high": np.array(high),
        "channels": np.array(channels),
    }


def _high(plan: DatasetPlan, series: Series) -> int:
    if plan.high is not None:
        return plan.high
    a = series.acquisition
    stated = (a.saturation_value, a.countrate_cutoff)
    return min(limit for limit in stated if limit is not None)


def _create(
    file: h5py.File, path: str, n: int, source: SyntheticSource, layout: Layout
) -> h5py.Dataset:
    shape: tuple[int, ...] = (n, *source.detector.shape)
    chunks: tuple[int, ...] = (1, *source.detector.shape)
    if layout is Layout.NXMX:
        shape = (n, len(source.channels), *source.detector.shape)
        chunks = (1, *chunks)
    filters: dict[str, Any] = {
        Encoding.BSLZ4: dict(hdf5plugin.Bitshuffle(nelems=0, cname="lz4")),
        Encoding.BSZSTD: dict(hdf5plugin.Bitshuffle(nelems=0, cname="zstd")),
        Encoding.LZ4: dict(hdf5plugin.LZ4()),
        Encoding.NONE: {},
    }[source.encoding]
    return file.create_dataset(
        path, shape, source.dtype, chunks=chunks, maxshape=(None, *shape[1:]), **filters
    )


def _count(
    dataset: h5py.Dataset,
    start: int,
    plan: DatasetPlan,
    high: int,
    truth: dict[str, npt.NDArray[np.uint64]],
) -> None:
    """Read the images back through HDF5 and sort their pixels."""
    sentinel = sentinel_of(dataset.dtype)
    for i in range(dataset.shape[0]):
        if start + i in plan.left_out_frames:
            continue
        images: npt.NDArray[Any] = dataset[i]
        for c, image in enumerate(images.reshape(-1, *images.shape[-2:])):
            valid = image[image != sentinel]
            kept = valid[(valid >= plan.low) & (valid <= high)]
            row = (start + i, c)
            truth["total"][row] = kept.sum(dtype=np.uint64)
            truth["kept"][row] = kept.size
            truth["below"][row] = np.count_nonzero(valid < plan.low)
            truth["above"][row] = np.count_nonzero(valid > high)
            truth["sentinel"][row] = image.size - valid.size
            truth["max_kept"][row] = kept.max(initial=0)


def _compare(
    truth: dict[str, npt.NDArray[np.uint64]],
    series: Series,
    start: int,
    n: int,
    plan: DatasetPlan,
) -> None:
    """Check the counted totals against the composed ones where nothing was cut."""
    for c, totals in enumerate(series.totals.values()):
        counted = truth["total"][start : start + n, c]
        cut = (
            truth["above"][start : start + n, c] + truth["below"][start : start + n, c]
        )
        absent = [i in plan.left_out_frames for i in range(start, start + n)]
        whole = (cut == 0) & ~np.array(absent)
        if not np.array_equal(counted[whole], totals[start : start + n][whole]):
            raise SimulatorError(
                f"{plan.master}: the images read back differ from those composed; "
                "this is a fault of eigersim, please report it"
            )
