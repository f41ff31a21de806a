"""Scans a master: which datasets hold its images, and which frame each image is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from eigerwatch.errors import ReplayError
from eigerwatch.replay.confine import Confinement
from eigerwatch.replay.datasets import Rows, Table
from eigerwatch.replay.facts import announced
from eigerwatch.replay.header import read_header
from eigerwatch.replay.links import HDF5_ERRORS, Found, Walker
from eigerwatch.replay.virtual import tabulate_any
from eigerwatch.replay.wire import MAX_CHANNELS, Index

_NUMBERED = re.compile(r"data_\d+")
_MAX_HOLES = 1 << 20
"""Frames that a file may announce beyond those it holds."""
_MAX_PROBLEMS = 100
_MAX_RUNS = 10

Tick = Callable[[], None]


@dataclass(slots=True)
class _Part:
    """One dataset of a set, or why there is none."""

    table: Table | None
    low: int | None = None
    """image_nr_low, which counts from 1."""


@dataclass(slots=True)
class _Set:
    """Datasets that make up one series of images, in order."""

    name: str | None
    """Channel; None: not named."""
    parts: list[_Part] = field(default_factory=list)


def scan(walker: Walker, master: Path, max_pixels: int, tick: Tick) -> Index:
    """Find all images behind a master.

    Raises
    ------
    ReplayError
        It is no master, or none of its images can be used.
    """
    entry = find_entry(walker, master)
    header = read_header(entry.node)
    problems: list[str] = []
    sets = _sets(walker, entry, max_pixels, tick, problems)
    index = _join(master, sets, announced(header), problems)
    index.header = header
    index.stamps = walker.stamps
    if len(problems) > _MAX_PROBLEMS:
        more = len(problems) - _MAX_PROBLEMS
        problems[_MAX_PROBLEMS:] = [f"and {more} more problems of this kind"]
    index.problems = problems
    return index


def open_walker(master: Path, roots: list[str], wait_s: float) -> Walker:
    """Return a walker confined to the master's folder and `roots`."""
    return Walker(Confinement(master, [Path(root) for root in roots]), wait_s)


def find_entry(walker: Walker, master: Path) -> Found:
    """Return the group that everything in a master is in.

    Raises
    ------
    ReplayError
        There is none.
    """
    file = walker.open(walker.confinement.check(master, str(master)))
    if walker.has(file, "entry"):
        found = walker.find(file, "/entry")
        if isinstance(found.node, h5py.Group):
            return found
    names = list(file)[:20]
    for name in names:
        if file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            continue
        node = file[name]
        if isinstance(node, h5py.Group) and _nx_class(node) == "NXentry":
            return Found(file, f"/{name}", node)
    raise ReplayError(
        f"{file.filename} is no detector's master: it has no /entry (it holds "
        f"{', '.join(map(repr, names)) or 'nothing'}); name …_master.h5"
    )


def _nx_class(group: h5py.Group) -> str:
    value = group.attrs.get("NX_class", "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _sets(
    walker: Walker, entry: Found, max_pixels: int, tick: Tick, problems: list[str]
) -> list[_Set]:
    for name in entry.node:
        if name.startswith("data") and name != "data":
            text = f"{entry.path}/{name} is left out: only {entry.path}/data is read"
            problems.append(text)
    path = f"{entry.path}/data"
    data = walker.find(entry.file, path)
    if isinstance(data.node, h5py.Dataset):
        return [_Set(None, [_part(walker, data, "", max_pixels, tick, problems)])]
    names = sorted(data.node)
    numbered = sorted(filter(_NUMBERED.fullmatch, names), key=lambda n: int(n[5:]))
    chosen: dict[str | None, tuple[Found, list[str]]]
    if numbered:
        chosen = {None: (data, numbered)}
    elif walker.has(data.node, "data"):
        chosen = {None: (data, ["data"])}
    else:
        chosen = _named_sets(walker, data, names)
    left = [n for n in names if n.startswith(("data_", "threshold_", "difference"))]
    used = {n for _, group in chosen.values() for n in group} | set(map(str, chosen))
    for name in left:
        if name not in used:
            problems.append(f"{data.name}/{name} is left out: not numbered images")
    if not chosen:
        shown = ", ".join(map(repr, names[:20])) or "nothing"
        raise ReplayError(
            f"{entry.file.filename}: {data.path} holds no images data_000001, … "
            f"(it holds {shown}); name a detector's master, …_master.h5"
        )
    sets = []
    for channel, (group, members) in chosen.items():
        parts = []
        for name in members:
            tick()
            parts.append(_part(walker, group, name, max_pixels, tick, problems))
        sets.append(_Set(channel, parts))
    return sets


def _named_sets(
    walker: Walker, data: Found, names: list[str]
) -> dict[str | None, tuple[Found, list[str]]]:
    """Return groups below `data` that hold a channel's images each."""
    chosen: dict[str | None, tuple[Found, list[str]]] = {}
    for name in names[:100]:
        if data.node.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            continue
        group = data.node[name]
        if not isinstance(group, h5py.Group):
            continue
        members = sorted(
            filter(_NUMBERED.fullmatch, group), key=lambda member: int(member[5:])
        )
        if not members and walker.has(group, "data"):
            members = ["data"]
        if members:
            chosen[name] = (Found(data.file, f"{data.path}/{name}", group), members)
    return dict(list(chosen.items())[:MAX_CHANNELS])


def _part(
    walker: Walker,
    group: Found,
    name: str,
    max_pixels: int,
    tick: Tick,
    problems: list[str],
) -> _Part:
    """Tabulate one dataset; a fault costs only itself."""
    path = f"{group.path}/{name}" if name else group.path
    file_name = group.file.filename
    try:
        with walker.scope():
            found = walker.find(group.file, path)
            file_name = found.file.filename  # closed by the time of a complaint
            table = tabulate_any(walker, found, max_pixels, tick)
            problems += table.problems
            numbered = _NUMBERED.fullmatch(name) is not None
            return _Part(table, _image_nr_low(found.node) if numbered else None)
    except ReplayError as exc:
        problems.append(f"{path}: {exc}")
    except HDF5_ERRORS as exc:
        problems.append(f"{file_name} is damaged: {path}: {exc!s:.300}")
    return _Part(None)


def _image_nr_low(dataset: h5py.Dataset) -> int | None:
    try:
        value = np.asarray(dataset.attrs.get("image_nr_low", 0))
    except HDF5_ERRORS:
        return None
    if value.size != 1 or value.dtype.kind not in "iu":
        return None
    low = int(value.flat[0])
    return low if low >= 1 else None


def _join(
    master: Path, sets: list[_Set], expected: int | None, problems: list[str]
) -> Index:
    """Put all tables on one axis of frames."""
    index = Index((0, 0), "", [], 0, {}, [], {})
    rows: list[Rows] = []
    holes = _Holes(expected)
    for one in sets:
        tables = [part.table for part in one.parts if part.table is not None]
        count = max((table.channels for table in tables), default=0)
        base = len(index.channels)
        if base + max(1, count) > MAX_CHANNELS:
            problems.append(f"channel {one.name} is left out: too many channels")
            continue
        index.channels += _channel_names(one.name, count)
        index.n_frames = max(
            index.n_frames, _place(one, base, holes, index, rows, problems)
        )
    if not any(len(part) for part in rows):
        reason = problems[0] if problems else "no image was ever written"
        raise ReplayError(f"{master} holds no image that can be read: {reason}")
    index.rows = _without_repeats(np.concatenate(rows), problems)
    _settle_geometry(index, problems)
    return index


def _channel_names(name: str | None, count: int) -> list[str]:
    if not count:
        return [name or ""]
    stem = "threshold" if name is None else name
    return [f"{stem}_{number + 1}" for number in range(count)]


class _Holes:
    """How many frames may be taken as missing, all in all."""

    def __init__(self, announced: int | None) -> None:
        self.announced = announced
        self.left = _MAX_HOLES

    def take(self, count: int) -> bool:
        """Allow `count` missing frames, or refuse."""
        if not 0 <= count <= self.left:
            return False
        self.left -= count
        return True


def _place(
    one: _Set,
    base: int,
    holes: _Holes,
    index: Index,
    rows: list[Rows],
    problems: list[str],
) -> int:
    """Give each part of a set its first frame; return the end of the last one."""
    sizes = [part.table.n if part.table else 0 for part in one.parts]
    per_file = max(sizes, default=0)
    # a link to nothing counts only as far as the master announces its frames
    owed = max(0, (holes.announced or 0) - sum(sizes))
    end = absent = ignored = 0
    for part in one.parts:
        if part.table is None:
            absent += 1
            continue
        table = part.table
        gap = min(absent * per_file, owed)
        if part.low is not None and holes.take(part.low - 1 - end):
            gap = part.low - 1 - end
        else:
            ignored += part.low is not None and part.low - 1 != end + gap
            gap = gap if holes.take(gap) else 0
        owed, absent = max(0, owed - gap), 0
        first = end + gap
        placed, length = _bounded(table, first, holes, problems)
        placed["image_id"] += first
        placed["channel"] += base
        placed["segment"] += len(index.segments)
        index.segments += table.segments
        rows.append(placed)
        end = first + length
    gap = min(absent * per_file, owed)
    if holes.take(gap):
        end += gap
    if ignored:
        problems.append(
            f"{ignored} of {len(one.parts)} data files state a first image "
            "(image_nr_low) that cannot be; they are taken in order"
        )
    return end


def _bounded(
    table: Table, first: int, holes: _Holes, problems: list[str]
) -> tuple[Rows, int]:
    """Return a copy of a table's rows and its length, both within reason."""
    ids = np.unique(table.rows["image_id"])
    unwritten = ids - np.arange(len(ids))  # before each image that is there
    sane = int(np.searchsorted(unwritten, holes.left, "right"))
    end = int(ids[sane - 1]) + 1 if sane else 0
    holes.take(end - sane)
    length = table.n
    where = "a dataset without images"
    if table.segments:
        where = f"{table.segments[0].file}:{table.segments[0].dataset}"
    if sane < len(ids) or not holes.take(length - end):
        problems.append(
            f"{where} announces {length} images, but only {len(ids)} exist; "
            f"those from image {end + 1} on are left out"
        )
        length = end
    elif len(ids) < length:
        absent = np.setdiff1d(np.arange(length), ids) + first
        problems.append(f"{where}: never written: image_id {_ranges(absent)}")
    return table.rows[table.rows["image_id"] < length].copy(), length


def _ranges(ids: np.ndarray[Any, np.dtype[np.int64]]) -> str:
    """Return ascending numbers as text, runs as ranges, not all too many."""
    runs = np.split(ids, np.flatnonzero(np.diff(ids) > 1) + 1)
    shown = [
        str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"
        for run in runs[:_MAX_RUNS]
    ]
    more = len(runs) - len(shown)
    return ", ".join(shown) + (f" and {more} more ranges" if more else "")


def _without_repeats(rows: Rows, problems: list[str]) -> Rows:
    order = np.lexsort((rows["image_id"], rows["channel"]))
    rows = rows[order]
    repeats = np.zeros(len(rows), bool)
    repeats[1:] = (rows["image_id"][1:] == rows["image_id"][:-1]) & (
        rows["channel"][1:] == rows["channel"][:-1]
    )
    if repeats.any():
        problems.append(
            f"{int(repeats.sum())} images are there twice; the first counts"
        )
    return rows[~repeats]


def _settle_geometry(index: Index, problems: list[str]) -> None:
    """Take shape and element type of the first image; fault what differs."""
    first = index.segments[
        int(index.rows["segment"][np.argmin(index.rows["image_id"])])
    ]
    index.shape, index.dtype = first.shape, first.dtype
    told = set()
    for segment in index.segments:
        if (segment.shape, segment.dtype) == (first.shape, first.dtype):
            continue
        segment.fault = (
            f"{Path(segment.file).name}:{segment.dataset} has images of "
            f"{segment.shape} {segment.dtype}, not {first.shape} {first.dtype} "
            "like the first one"
        )
        if segment.fault not in told:
            told.add(segment.fault)
            problems.append(segment.fault)
