"""`eigerwatch sum` against the bare kernel and against what one would write in Python.

All of them read the same files, which are in the page cache, and must agree.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eigerwatch.bench.frames import Case, Payloads, load
from eigerwatch.bench.tasks import least_s, run_task, times_s
from eigerwatch.config import Settings
from eigerwatch.decoding import BSLZ4
from eigerwatch.errors import EigerwatchError
from eigerwatch.model import FRAME_RECORD, REGION_ROW
from eigerwatch.offline import FrameRange, MasterSums, sum_master

_ROUNDS = 5
_BASELINE_ROUNDS = 2
_BASELINE_FRAMES = 100
_START_PART = 4
"""What the first frame costs is told by summing a fourth of the frames, and all."""
_MOST_BYTES = 1_000_000_000
"""Images that the bare kernel runs over: more than any cache holds."""


def measure(case: Case, master: Path, frames: int, cpus: int) -> dict[str, Any]:
    """Return the result of one dataset.

    Raises
    ------
    EigerwatchError
        The sums differ.
    """
    ours = run_task("sum", master=master, threads=1)
    simple = run_task("h5py", master=master, high=ours["high"])
    masked = run_task("masked_array", master=master, high=ours["high"])
    shared = run_task("sum", one_cpu=False, master=master, threads=cpus)
    for name, other in (("np.where", simple), ("np.ma", masked), ("threads", shared)):
        if other["totals"] != ours["totals"][: len(other["totals"])]:
            raise EigerwatchError(f"{master.name}: sums by {name} differ from ours")

    def rate(seconds: float) -> float:
        return round(1 / seconds, 1)

    each_s = ours["each_s"]
    return {
        **case.row(),
        "frames": frames,
        "start_s": round(ours["start_s"], 3),
        "frames_per_s": rate(each_s),
        "bare_kernel_frames_per_s": rate(ours["bare_s"]),
        "share_of_bare_kernel": round(ours["bare_s"] / each_s, 3),
        "h5py_numpy_frames_per_s": rate(simple["each_s"]),
        "speedup_vs_h5py_numpy": round(simple["each_s"] / each_s, 1),
        "masked_array_frames_per_s": rate(masked["each_s"]),
        "speedup_vs_masked_array": round(masked["each_s"] / each_s, 1),
        "threads": cpus,
        "threads_frames_per_s": rate(shared["each_s"]),
        "speedup_by_threads": round(each_s / shared["each_s"], 2),
    }


def measure_sum(master: Path, threads: int) -> dict[str, Any]:
    """Time `sum_master` and, in turn, the kernel alone on the same images in memory.

    Returns
    -------
    dict
        ``start_s`` before the first frame; ``each_s`` and ``bare_s`` per frame [s].
    """
    settings = Settings().model_copy(
        update={"reduce": Settings().reduce.model_copy(update={"threads": threads})}
    )

    def run() -> MasterSums:
        return sum_master(master, settings)

    sums = run()
    if not sums.stored.all():
        raise EigerwatchError(f"{master}: {sums.states.tolist()} {sums.problems}")
    n = len(sums.totals)
    part = FrameRange(1, n // _START_PART)
    images = load(master, _MOST_BYTES)

    def begin() -> MasterSums:
        return sum_master(master, settings, part)

    times = times_s([run, begin, _bare_kernel(images, sums)], _ROUNDS)
    whole_s, part_s, bare_s = map(min, times)
    each_s = (whole_s - part_s) / (n - n // _START_PART)
    if each_s <= 0:  # lost in the noise of few frames
        each_s = whole_s / n
    return {
        "start_s": whole_s - n * each_s,
        "each_s": each_s,
        "bare_s": bare_s / len(images.payloads),
        "totals": sums.totals.tolist(),
        "high": sums.selection.high,
    }


def _bare_kernel(images: Payloads, sums: MasterSums) -> Callable[[], None]:
    """Return what reduces the images with the same filter, mask and regions."""
    from eigerwatch import _kernel

    counted = sums.selection.pixel_filter()
    itemsize = images.dtype.itemsize
    selection = _kernel.Selection(
        images.pixels,
        counted.low,
        counted.high,
        counted.mask,
        counted.edges,
        counted.regions,
    )
    record = bytearray(FRAME_RECORD.itemsize)
    rows = bytearray(REGION_ROW.itemsize * counted.regions) or None
    scratch = bytearray(
        _kernel.scratch_bytes(images.payloads, BSLZ4, itemsize, images.pixels)
    )

    def run() -> None:
        for payload in images.payloads:
            _kernel.reduce(
                (payload,), BSLZ4, itemsize, selection, record, rows, scratch
            )

    return run


def measure_h5py(master: Path, high: int) -> dict[str, Any]:
    """Time reading by h5py + hdf5plugin, filtering by `np.where` and summing."""

    def total(image: np.ndarray[Any, Any]) -> int:
        return int(np.where(image <= high, image, 0).sum(dtype=np.uint64))

    return _measure_h5py(master, total)


def measure_masked_array(master: Path, high: int) -> dict[str, Any]:
    """Time the same by masked arrays, as Sum-Eiger-Frames did it."""

    def total(image: np.ndarray[Any, Any]) -> int:
        return int(np.ma.masked_greater(image, high).sum(dtype=np.uint64))

    return _measure_h5py(master, total)


def _measure_h5py(
    master: Path, total: Callable[[np.ndarray[Any, Any]], int]
) -> dict[str, Any]:
    import h5py
    import hdf5plugin  # noqa: F401 - makes the compression known to HDF5

    totals: list[int] = []

    def run() -> None:
        totals.clear()
        with h5py.File(master) as file:
            group = file["entry/data"]
            for name in sorted(group):
                dataset = group[name]
                n = min(len(dataset), _BASELINE_FRAMES - len(totals))
                totals.extend(total(dataset[index]) for index in range(n))

    seconds = least_s(run, _BASELINE_ROUNDS)
    return {"each_s": seconds / len(totals), "totals": totals}
