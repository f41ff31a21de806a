"""What is measured, in which order, and how it is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eigerwatch.bench import host, kernel, live, offline
from eigerwatch.bench.frames import Case, load, make_dataset, remove_dataset
from eigerwatch.bench.tasks import run_task
from eigerwatch.errors import ConfigError
from eigerwatch.reduce import kernel_name, kernel_problem
from eigerwatch.sandbox import short_folder, without_variables

SECTIONS = ("kernel", "offline", "live")

_KERNEL_FRAMES = 4
_COUNTS = (0.0015, 0.36, 5.0)
_KERNEL_CASES = [
    Case(detector, dtype, counts)
    for detector in ("500k", "4m", "16m")
    for dtype in ("uint8", "uint16", "uint32")
    for counts in _COUNTS
]
_OFFLINE_CASES = {Case("4m", "uint16", 0.36): 1200, Case("16m", "uint32", 0.36): 300}
_LIVE_CASES = [
    Case(detector, "uint16", 0.36) for detector in ("500k", "1m", "4m", "9m", "16m")
]
_USUAL = Case("4m", "uint16", 0.36)
"""All that is measured when it must be quick; also against the bare loop."""

Report = Callable[[str], None]
"""Told what is being measured."""


def bench(sections: tuple[str, ...], *, quick: bool, report: Report) -> dict[str, Any]:
    """Measure this host.

    Parameters
    ----------
    sections
        Some of `SECTIONS`.
    quick
        Whether to look at the usual 4M frames alone.
    report
        Told about every step.

    Returns
    -------
    dict
        ``host``, and the sections; all keys are described in the README.

    Raises
    ------
    EigerwatchError
        Something could not be measured.
    """
    if kernel_problem():
        raise ConfigError(
            f"the compiled kernel cannot be used here ({kernel_problem()}): "
            f"there is nothing to measure but {kernel_name()}"
        )
    report("memory")
    found: dict[str, Any] = {"host": host.describe()}
    # What this host can do, and not what somebody has set for a service on it.
    with without_variables(), short_folder() as folder:
        if "kernel" in sections:
            copied = 1e9 * found["host"]["memcpy_gb_per_s"]
            found["kernel"] = _kernel(folder, copied, quick, report)
        if "offline" in sections:
            found["offline"] = _offline(folder, quick, report)
        if "live" in sections:
            found["live"] = _live(folder, quick, report)
    return found


def _kernel(
    folder: Path, memcpy_bytes_per_s: float, quick: bool, report: Report
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for case in [_USUAL] if quick else _KERNEL_CASES:
        report(f"kernel, {case}")
        master = make_dataset(folder, case, _KERNEL_FRAMES)
        measured = run_task("kernel", master=master)
        rows += kernel.rows(measured, case, memcpy_bytes_per_s)
        remove_dataset(master)
    return rows


def _offline(folder: Path, quick: bool, report: Report) -> list[dict[str, Any]]:
    rows = []
    cpus = len(os.sched_getaffinity(0))
    for case, frames in _OFFLINE_CASES.items():
        if quick and case != _USUAL:
            continue
        report(f"recorded files, {case}")
        master = make_dataset(folder, case, frames)
        rows.append(offline.measure(case, master, frames, cpus))
        remove_dataset(master)
    return rows


def _live(folder: Path, quick: bool, report: Report) -> list[dict[str, Any]]:
    rows = []
    with live.service(folder) as send:
        for case in [_USUAL] if quick else _LIVE_CASES:
            report(f"live, {case}")
            master = make_dataset(folder, case, 1)
            pixels = load(master).pixels
            remove_dataset(master)
            row = {**case.row(), "stream": live.STREAM}
            row |= live.measure(case, pixels, send)
            bare = share = None
            if case == _USUAL:
                report(f"live, {case}: a bare loop")
                loop = live.bare(folder, case.dtype, pixels)
                bare = live.measure(case, pixels, loop)["frames_per_s"]
                if bare and row["frames_per_s"]:
                    share = round(row["frames_per_s"] / bare, 3)
            rows.append({**row, "bare_frames_per_s": bare, "share_of_bare": share})
    return rows
