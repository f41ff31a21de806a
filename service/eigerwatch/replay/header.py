"""The scalar facts of a master: detector, times, limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from eigerwatch.replay.links import HDF5_ERRORS

_FIRST = (
    "/entry/instrument/detector/detectorSpecific",
    "/entry/instrument/detector",
)
_MAX_DEPTH = 6
_MAX_OBJECTS = 4000
_MAX_TEXT = 1000
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_TIMES = ("frame_time", "count_time")


def read_header(entry: h5py.Group) -> dict[str, Any]:
    """Return all scalars below an entry by their last name, safe for JSON.

    Of two with the same name, the detector's own comes first. Only hard links are
    followed; arrays, external storage and virtual datasets are left out.
    """
    found: dict[str, tuple[int, Any]] = {}
    for path, dataset in _datasets(entry):
        name = path.rpartition("/")[2]
        rank = _rank(path)
        if name in found and found[name][0] <= rank:
            continue
        try:
            value = _scalar(dataset, name)
        except HDF5_ERRORS:
            continue  # a damaged scalar is as good as none
        if value is not None:
            found[name] = (rank, value)
    return {name: value for name, (_, value) in sorted(found.items())}


def _rank(path: str) -> int:
    parent = path.rpartition("/")[0]
    if parent in _FIRST:
        return _FIRST.index(parent)
    return len(_FIRST) + path.count("/")


def _datasets(entry: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    waiting = [("/entry", entry)]
    seen = 0
    while waiting:
        path, group = waiting.pop(0)
        try:
            names = list(group)
        except HDF5_ERRORS:
            continue
        for name in names:
            seen += 1
            if seen > _MAX_OBJECTS:
                return
            try:
                raw = name.encode("utf-8", "surrogateescape")
                if group.id.links.get_info(raw).type != h5py.h5l.TYPE_HARD:
                    continue
                node = group[name]
            except HDF5_ERRORS:
                continue
            if isinstance(node, h5py.Dataset):
                yield f"{path}/{name}", node
            elif isinstance(node, h5py.Group) and path.count("/") < _MAX_DEPTH:
                waiting.append((f"{path}/{name}", node))


def _scalar(dataset: h5py.Dataset, name: str) -> Any:
    plist = dataset.id.get_create_plist()
    if dataset.size != 1 or dataset.ndim > 1:
        return None
    if plist.get_layout() == h5py.h5d.VIRTUAL or plist.get_external_count():
        return None
    if dataset.dtype.kind not in "iufbSO" or dataset.dtype.itemsize > _MAX_TEXT:
        return None
    value = dataset[()]
    if isinstance(value, np.ndarray):
        value = value.flat[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.rstrip("\0")[:_MAX_TEXT]
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if not isinstance(value, np.floating):
        return None
    number = float(str(value))  # 0.00134 in float32 stays 0.00134
    if name in _TIMES:
        number *= _SECONDS.get(_unit(dataset), 1.0)
    return number if math.isfinite(number) else None


def _unit(dataset: h5py.Dataset) -> str:
    unit = dataset.attrs.get("units", "s")
    return unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
