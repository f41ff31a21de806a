"""The origin's table as CSV, and the sums as .npy, CSV and pickle."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.statistics import Description
from eigerwatch.errors import ConfigError
from eigerwatch.model import MISSING_TOTAL, FrameFlag

SUMS_COLUMNS = ("total", "kept", "below", "above", "sentinel", "masked")
"""Fields of a frame record that `sums_csv_lines` writes, after frame and state,"""
REGION_COLUMNS = ("total", "kept", "sentinel")
"""and those of them that are known of a region."""

_LINES_PER_BLOCK = 4096


def table_csv(description: Description) -> str:
    """Return the origin's table: rows count to max, columns raw and detrended.

    Numbers are written so that they read back exactly, all as floats, as pandas
    does; what is undefined stays empty.
    """
    lines = [",raw,detrended"]
    rows = zip(description.raw.rows(), description.detrended.rows(), strict=True)
    for (label, raw), (_, detrended) in rows:
        lines.append(f"{label},{_cell(raw)},{_cell(detrended)}")
    return "\n".join(lines) + "\n"


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


def write_table_csv(path: Path, description: Description) -> None:
    """Write `table_csv` to `path`."""
    with replacing(path) as part:
        part.write_text(table_csv(description), encoding="utf-8")


def is_stored(records: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Return (n,) true where a frame record holds valid sums."""
    flags = records["flags"]
    wanted = FrameFlag.STORED | FrameFlag.REJECTED
    return np.asarray((flags & int(wanted)) == int(FrameFlag.STORED))


def exported_totals(records: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """Return (n,) totals [counts], `MISSING_TOTAL` for missing or rejected frames."""
    missing = np.uint64(MISSING_TOTAL)
    return np.where(is_stored(records), records["total"], missing)


def write_sums_npy(path: Path, records: npt.NDArray[np.void]) -> None:
    """Write `exported_totals` as a one-dimensional .npy array of uint64."""
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, exported_totals(records), allow_pickle=False)


def write_pickle(path: Path, records: npt.NDArray[np.void]) -> None:
    """Write the origin's pickle, for its own plot script: one list of sums.

    Integers; NaN for a missing or rejected frame. Protocol 2, which Python 2.7
    reads. Nothing here ever loads a pickle.
    """
    totals = records["total"].tolist()
    stored = is_stored(records).tolist()
    sums = [t if s else math.nan for t, s in zip(totals, stored, strict=True)]
    with replacing(path) as part, part.open("wb") as file:
        pickle.dump(sums, file, protocol=2)


def sums_csv_lines(
    records: npt.NDArray[np.void],
    first_frame: int = 1,
    states: Sequence[str] | npt.NDArray[np.str_] | None = None,
    *,
    columns: Sequence[str] = SUMS_COLUMNS,
    header: bool = True,
) -> Iterator[str]:
    """Yield the sums as CSV, in blocks of whole lines.

    Only a stored frame has numbers; the cells of any other state are empty.

    Parameters
    ----------
    records
        (n,) `FRAME_RECORD`; all zero where nothing is stored.
    first_frame
        The origin's frame number of ``records[0]``, that is image_id + 1.
    states
        (n,) frame states; None: stored, rejected or missing, from the flags.
    columns
        Fields of the records to write.
    header
        Begin with the line of column names; False to continue a download.
    """
    if header:
        yield ",".join(("frame", "state", *columns)) + "\n"
    stored = is_stored(records)
    if states is None:
        rejected = (records["flags"] & int(FrameFlag.REJECTED)) != 0
        absent = np.where(rejected, "rejected", "missing")
        states = np.where(stored, "stored", absent)
    if len(states) != len(records):
        raise ValueError(f"{len(records)} records but {len(states)} states")
    empty = "," * (len(columns) - 1)
    for start in range(0, len(records), _LINES_PER_BLOCK):
        block = slice(start, start + _LINES_PER_BLOCK)
        cells_of = (records[name][block].tolist() for name in columns)
        cells = zip(*cells_of, strict=True)
        rows = zip(states[block], stored[block].tolist(), cells, strict=True)
        yield "".join(
            f"{frame},{state},{','.join(map(str, numbers)) if valid else empty}\n"
            for frame, (state, valid, numbers) in enumerate(rows, first_frame + start)
        )


def write_sums_csv(
    path: Path,
    records: npt.NDArray[np.void],
    first_frame: int = 1,
    states: Sequence[str] | npt.NDArray[np.str_] | None = None,
) -> None:
    """Write `sums_csv_lines` to `path`."""
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.writelines(sums_csv_lines(records, first_frame, states))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to that takes the place of `path` once it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def prepare_folder(folder: Path) -> None:
    """Make the output folder.

    Raises
    ------
    ConfigError
        It cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        raise ConfigError(
            f"{folder}: cannot be written to ({exc.strerror}); choose another --output"
        ) from exc
