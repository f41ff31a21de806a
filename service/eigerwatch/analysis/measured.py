"""What was measured: the stored frames of one channel, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.model import FrameFlag

FloatArray = npt.NDArray[np.float64]

_NO_TIME = FrameFlag.TIME_COMPUTED | FrameFlag.TIME_IMPLAUSIBLE


@dataclass(frozen=True, slots=True)
class Measured:
    """Stored frames in ascending order; missing and rejected ones are not in it."""

    positions: npt.NDArray[np.int64]
    """(n,) image_id of each frame; a step larger than 1 is a gap."""
    totals: npt.NDArray[np.uint64]
    """(n,) sum of the kept pixels [counts]."""
    times_s: FloatArray | None = None
    """(n,) exposure start since the series' start [s]; NaN: not told."""
    frame_time_s: float | None = None
    """Announced time from start to start [s]."""
    kept: npt.NDArray[np.uint32] | None = None
    """(n,) number of kept pixels."""
    sentinel: npt.NDArray[np.uint32] | None = None
    """(n,) number of pixels without data."""
    regions: npt.NDArray[np.uint64] | None = None
    """(n, m) sums by region [counts]."""
    region_kept: npt.NDArray[np.uint32] | None = None
    """(n, m) number of kept pixels by region."""
    region_sentinel: npt.NDArray[np.uint32] | None = None
    """(n, m) number of pixels without data by region."""

    @property
    def n(self) -> int:
        """Number of frames."""
        return int(self.positions.size)

    def at(self, index: npt.NDArray[np.bool_] | slice) -> Measured:
        """Return the frames that `index` chooses."""
        return self._each(lambda column: column[index])

    def copy(self) -> Measured:
        """Return the same with arrays of its own."""
        return self._each(np.copy)

    def joined(self, later: Measured) -> Measured:
        """Return these frames and later ones; a column that one lacks is left out."""

        def both(name: str) -> Any:
            a, b = getattr(self, name), getattr(later, name)
            return None if a is None or b is None else np.concatenate([a, b])

        return replace(later, **{name: both(name) for name in _columns()})

    def _each(self, change: Callable[[Any], Any]) -> Measured:
        """Return the same with every column changed."""
        given = {name: getattr(self, name) for name in _columns()}
        changed = {n: change(c) for n, c in given.items() if c is not None}
        return replace(self, **changed)


def _columns() -> list[str]:
    return [one.name for one in fields(Measured) if one.name != "frame_time_s"]


def measured_of(
    records: npt.NDArray[Any],
    regions: npt.NDArray[Any] | None = None,
    *,
    first: int = 0,
    modules: Sequence[int] | None = None,
    frame_time_s: float | None = None,
) -> Measured:
    """Return the stored frames among consecutive records.

    Parameters
    ----------
    records
        (n,) of `FRAME_RECORD`; records that are not stored are left out.
    regions
        (n, m) of `REGION_ROW`; None: regions are not known.
    first
        image_id of ``records[0]``.
    modules
        Columns of `regions` that are detector modules; None: all. Where `regions` has
        fewer columns, its sums were not kept, and none are used.
    frame_time_s
        Announced time from start to start [s].
    """
    stored = records["flags"] & np.uint16(FrameFlag.STORED) != 0
    index = np.flatnonzero(stored)
    chosen = records[index]
    parts: dict[str, Any] = {}
    if regions is not None:
        rows = regions[index]
        if modules is not None:
            known = not modules or max(modules) < rows.shape[1]
            rows = rows[:, list(modules) if known else []]
        if rows.shape[1]:
            parts = {
                "regions": np.ascontiguousarray(rows["total"]),
                "region_kept": np.ascontiguousarray(rows["kept"]),
                "region_sentinel": np.ascontiguousarray(rows["sentinel"]),
            }
    times = chosen["start_ns"].astype(np.float64) / 1e9
    times[chosen["flags"] & np.uint16(_NO_TIME) != 0] = np.nan
    return Measured(
        positions=index.astype(np.int64) + first,
        totals=np.ascontiguousarray(chosen["total"]),
        times_s=times,
        frame_time_s=frame_time_s,
        kept=np.ascontiguousarray(chosen["kept"]),
        sentinel=np.ascontiguousarray(chosen["sentinel"]),
        **parts,
    )
