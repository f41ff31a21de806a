"""Virtual datasets: which images of which real datasets they show."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from eigerwatch.errors import ReplayError
from eigerwatch.replay.datasets import Rows, Table, check, tabulate
from eigerwatch.replay.links import HDF5_ERRORS, Found, Walker
from eigerwatch.replay.wire import IMAGE_ROW, Segment

_MAX_SOURCES = 20_000

Box = list[tuple[int, int]]
"""First and last index per axis."""


def tabulate_any(
    walker: Walker, found: Found, max_pixels: int, tick: Callable[[], None]
) -> Table:
    """List the images of a dataset, virtual or not."""
    dataset = found.node
    if (
        isinstance(dataset, h5py.Dataset)
        and dataset.id.get_create_plist().get_layout() == h5py.h5d.VIRTUAL
    ):
        return _tabulate_virtual(walker, found, max_pixels, tick)
    return tabulate(found, max_pixels, tick)


def _tabulate_virtual(
    walker: Walker, found: Found, max_pixels: int, tick: Callable[[], None]
) -> Table:
    dataset = check(found, max_pixels)
    plist = dataset.id.get_create_plist()
    count = plist.get_virtual_count()
    if count > _MAX_SOURCES:
        raise ReplayError(f"refused: {found.name} has {count} virtual sources")
    folder = Path(found.file.filename).parent
    names = [plist.get_virtual_filename(i) for i in range(count)]
    for name in names:  # all of them before the first one is opened
        _check_source(walker, found, name, folder)
    n = int(dataset.shape[0]) if dataset.ndim > 2 else 1
    channels = int(dataset.shape[1]) if dataset.ndim == 4 else 0
    table = Table(n, channels, [], np.empty(0, IMAGE_ROW), [])
    parts = []
    tables: dict[tuple[str, str], Table | None] = {}
    for index, source in enumerate(dataset.virtual_sources()):
        tick()
        key = (names[index], source.dset_name)
        if key not in tables:
            tables[key] = _source_table(walker, found, key, max_pixels, tick, table)
        real = tables[key]
        if real is not None:
            parts.append(_mapped(found, dataset, source, real, table.segments))
    if parts:
        table.rows = np.concatenate(parts)
    return table


def _check_source(walker: Walker, found: Found, name: str, folder: Path) -> None:
    if "%" in name:
        raise ReplayError(f"refused: {found.name} has a pattern as virtual source")
    if name == ".":
        return
    try:
        walker.confinement.locate(name, folder)
    except ReplayError as exc:
        if str(exc).startswith("refused"):
            raise ReplayError(
                f"{exc} (a source of the virtual dataset {found.name})"
            ) from exc


def _source_table(
    walker: Walker,
    found: Found,
    key: tuple[str, str],
    max_pixels: int,
    tick: Callable[[], None],
    table: Table,
) -> Table | None:
    name, path = key
    folder = Path(found.file.filename).parent
    try:
        with walker.scope():
            file = found.file
            if name != ".":
                file = walker.open(walker.confinement.locate(name, folder))
            return tabulate(walker.find(file, path), max_pixels, tick)
    except (ReplayError, *HDF5_ERRORS) as exc:
        table.problems.append(f"{found.name}: a source cannot be used: {exc}")
        return None


def _mapped(
    found: Found, dataset: h5py.Dataset, source: Any, real: Table, into: list[Segment]
) -> Rows:
    """Return the rows of a source at the places where the virtual dataset has them."""
    shape = tuple(dataset.shape)
    target = _lead(_box(found, source.vspace, shape), shape)
    image = real.segments[0].shape
    own_shape: tuple[int, ...] = (real.n, *image)
    if real.channels:
        own_shape = (real.n, real.channels, *image)
    elif len(source.src_space.shape) == 2:
        own_shape = image
    origin = _lead(_box(found, source.src_space, own_shape), own_shape)
    if [b - a for a, b in target] != [b - a for a, b in origin]:
        raise _too_involved(found)
    rows: Rows = real.rows[
        _within(real.rows["image_id"], origin[0])
        & _within(real.rows["channel"], origin[1])
    ].copy()
    rows["image_id"] += target[0][0] - origin[0][0]
    rows["channel"] += target[1][0] - origin[1][0]
    rows["segment"] += len(into)
    into.extend(real.segments)
    return rows


def _within(values: Any, span: tuple[int, int]) -> Any:
    return (values >= span[0]) & (values <= span[1])


def _box(found: Found, space: Any, shape: tuple[int, ...]) -> Box:
    """Return a selection as a box; refuse what is none."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return [(0, size - 1) for size in shape]
    try:
        low, high = space.get_select_bounds()
        points = space.get_select_npoints()
    except HDF5_ERRORS as exc:
        raise _too_involved(found) from exc
    box = [(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    if math.prod(b - a + 1 for a, b in box) != points or len(box) != len(shape):
        raise _too_involved(found)
    if [b - a + 1 for a, b in box[-2:]] != list(shape[-2:]):
        raise _too_involved(found)
    return box


def _lead(box: Box, shape: tuple[int, ...]) -> Box:
    """Return the spans of images and channels."""
    if len(shape) == 2:
        return [(0, 0), (0, 0)]
    return [box[0], box[1] if len(shape) == 4 else (0, 0)]


def _too_involved(found: Found) -> ReplayError:
    return ReplayError(
        f"refused: the virtual dataset {found.name} is not made of whole images in "
        "order; name the master of the data files instead"
    )
